"""What an erasure would take with it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from eventfold_server.domain.deletion.plans import Cut, PlannedStream, legal_hold, plan_of
from eventfold_server.domain.links import CASCADE, RESTRICT
from eventfold_server.domain.privacy.cleanup import Touched
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.errors import Refusal
from eventfold_server.limits import DELETION_STREAMS_MAX, DELETION_STREAMS_TOLD_MAX
from eventfold_server.storage.erasures import ErasureReads
from eventfold_server.storage.keys.store import SubjectRow, SubjectStatus
from eventfold_server.storage.subject_index import SubjectTypeRow


@dataclass(frozen=True)
class PlaintextFound:
    """Events that hold plaintext of the subject, from before their fields were declared."""

    # One of both.
    type: str | None
    category: str | None
    events: int
    # Position at or before which they are.
    until: int


@dataclass(frozen=True)
class ErasurePlan:
    """What an erasure would do."""

    subject_hash: bytes
    # As the key store has it; None: it never had a key.
    subject: SubjectRow | None
    position: int
    events: Sequence[SubjectTypeRow]
    # Streams that would be deleted, and of these the ones that are asked for: the others belong to
    # them, or to the subject.
    deleted: Sequence[PlannedStream]
    roots: Sequence[str]
    restrictions: Sequence[Cut]
    detached: Sequence[Cut]
    # Names of legal holds.
    holds: Sequence[str]
    plaintext: Sequence[PlaintextFound] = ()
    streams: int = 0
    kept_states: int = 0
    projections: Sequence[Touched] = ()
    referrers: int = 0

    @property
    def key_versions(self) -> int:
        """Keys that would be destroyed."""
        return 0 if self.subject is None else self.subject.keys

    @property
    def active(self) -> bool:
        """Whether the subject has keys."""
        return self.subject is not None and self.subject.status is SubjectStatus.ACTIVE

    @property
    def digest(self) -> str:
        """Tells it from other plans: by the types of events, the streams that go, and the links
        that are cut.
        """
        told = [
            self.subject_hash.hex(),
            [one.type for one in self.events],
            [one.stream for one in self.deleted],
            [[cut.stream, cut.owner, cut.rule] for cut in self.restrictions],
            [[cut.stream, cut.owner, cut.rule] for cut in self.detached],
        ]
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(b"eventfold erasure plan 1\n" + text.encode()).hexdigest()

    def refuse(self) -> None:
        """Refuses it if something forbids it."""
        if self.holds:
            raise legal_hold(self.holds)
        names = sorted({cut.stream for cut in self.restrictions})
        if names:
            raise Refusal(
                "DELETION_RESTRICTED",
                "streams that belong to the subject, or to what would go, forbid it",
                streams=", ".join(names[:DELETION_STREAMS_TOLD_MAX]),
                count=len(names),
            )

    def told(self) -> str:
        """What the receipt says of it, as JSON: no names of streams that stay."""
        return json.dumps(
            {
                "digest": self.digest,
                "position": self.position,
                "key_versions": self.key_versions,
                "events": {one.type: one.events for one in self.events},
                "streams": self.streams,
                "plaintext": [
                    {
                        **({"event_type": one.type} if one.type else {"category": one.category}),
                        "events": one.events,
                        "until": one.until,
                    }
                    for one in self.plaintext
                ],
                "deleted_streams": len(self.deleted),
                "detached_links": len(self.detached),
                "referrers": self.referrers,
            },
            separators=(",", ":"),
        )


async def erasure_plan(
    reads: ErasureReads,
    name: str,
    subject_hash: bytes,
    subject: SubjectRow | None,
    position: int,
) -> ErasurePlan:
    """The plan for a subject; DELETION_TOO_LARGE."""
    subject_id = None if subject is None else subject.subject_id
    found = await _deleted(reads, name, position)
    holds = await reads.holds(subject_hash, subject_id, sorted({one.root for one in found.deleted}))
    return replace(
        found,
        subject_hash=subject_hash,
        subject=subject,
        events=[] if subject_id is None else await reads.types(subject_id),
        holds=[hold for hold, _ in holds],
    )


async def _deleted(reads: ErasureReads, name: str, position: int) -> ErasurePlan:
    """Of the plan the streams that go: that of the subject, if all of its category is personal, and
    those that belong to it.
    """
    line = await reads.lines([name])
    own = [row for row in line if row.lifecycle != LIFECYCLE_DELETED]
    roots, cuts = [], []
    if own and await reads.all_personal(own[0].category):
        roots.append(own[0].root)
    for link in await reads.linked([row.name for row in line] or [name]):
        if link.policy == CASCADE:
            roots.append(link.stream)
        else:
            cuts.append(link)
    deleted: dict[str, PlannedStream] = {}
    asked: list[str] = []
    for root in roots:
        if any(one.root == root for one in deleted.values()):
            continue
        plan = await plan_of(reads, root, position)
        asked.append(root)
        deleted |= {one.stream: one for one in plan.streams}
        cuts += [*plan.restrictions, *plan.detached]
        if len(deleted) > DELETION_STREAMS_MAX:
            raise Refusal(
                "DELETION_TOO_LARGE",
                f"more than {DELETION_STREAMS_MAX} streams would go",
                limit=DELETION_STREAMS_MAX,
            )
    gone = {one.root for one in deleted.values()}
    left = {(cut.stream, cut.owner, cut.rule): cut for cut in cuts if cut.stream not in gone}
    return ErasurePlan(
        subject_hash=b"",
        subject=None,
        position=position,
        events=(),
        deleted=sorted(deleted.values(), key=lambda one: one.stream),
        roots=asked,
        restrictions=[cut for cut in left.values() if cut.policy == RESTRICT],
        detached=[cut for cut in left.values() if cut.policy != RESTRICT],
        holds=(),
    )


def subject_ids(subject: SubjectRow | None) -> list[UUID]:
    """What the subject index knows it by."""
    return [] if subject is None else [subject.subject_id]
