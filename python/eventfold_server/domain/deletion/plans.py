"""What a deletion would take with it: lines of periods, and those that belong to them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from eventfold_server.domain.links import CASCADE, RESTRICT
from eventfold_server.domain.privacy.cleanup import Touched
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.errors import Refusal
from eventfold_server.limits import DELETION_STREAMS_MAX, DELETION_STREAMS_TOLD_MAX
from eventfold_server.storage.deletions import LineRow, LinkedRow, PlanReads

# What a plan knows of a link that is cut is its row.
Cut = LinkedRow


@dataclass(frozen=True)
class PlannedStream:
    """A stream that goes."""

    stream_no: int
    stream: str
    root: str
    version: int
    # The stream that it belongs to, and the rule (empty: by hand); None: it was asked for.
    owner: str | None
    rule: str | None


@dataclass(frozen=True)
class Plan:
    """What a deletion would do."""

    # First of the line that is asked for.
    stream: str
    # Version of the stream that was named.
    version: int
    position: int
    streams: Sequence[PlannedStream]
    restrictions: Sequence[Cut]
    detached: Sequence[Cut]
    kept_states: int = 0
    projections: Sequence[Touched] = ()
    referrers: int = 0
    copies: Sequence[str] = ()

    @property
    def digest(self) -> str:
        """Tells it from other plans: by what goes, and by the links that are cut."""
        told = [
            [one.stream for one in self.streams],
            [[cut.stream, cut.owner, cut.rule] for cut in self.restrictions],
            [[cut.stream, cut.owner, cut.rule] for cut in self.detached],
        ]
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(b"eventfold deletion plan 1\n" + text.encode()).hexdigest()

    def refuse_restricted(self) -> None:
        """Refuses it if a stream that stays forbids it."""
        names = sorted({cut.stream for cut in self.restrictions})
        if names:
            raise Refusal(
                "DELETION_RESTRICTED",
                "streams that belong to what would go forbid it",
                stream=self.stream,
                streams=", ".join(names[:DELETION_STREAMS_TOLD_MAX]),
                count=len(names),
            )


def legal_hold(names: Sequence[str], stream: str | None = None) -> Refusal:
    """The refusal of what legal holds forbid."""
    return Refusal(
        "LEGAL_HOLD",
        "a legal hold forbids it",
        hold=names[0],
        count=len(names),
        stream=stream,
    )


async def plan_of(reads: PlanReads, stream: str, position: int) -> Plan:
    """The plan for the line of a stream; STREAM_NOT_FOUND, STREAM_DELETED, DELETION_TOO_LARGE.

    Streams belong to each other in any way, in circles too: each line is taken once. One that goes
    anyway forbids nothing.
    """
    walk = _Walk(reads, stream)
    asked = await walk.begin()
    await walk.run(asked.root)
    cuts = [cut for cut in walk.cuts if cut.stream not in walk.lines]
    return Plan(
        asked.root,
        asked.version,
        position,
        sorted(walk.streams, key=lambda one: one.stream),
        [cut for cut in cuts if cut.policy == RESTRICT],
        [cut for cut in cuts if cut.policy != RESTRICT],
    )


class _Walk:
    """From owners to what belongs to them, a step at a time."""

    def __init__(self, reads: PlanReads, stream: str) -> None:
        self._reads = reads
        self._stream = stream
        # By first stream of a line its owner and the rule.
        self.lines: dict[str, tuple[str | None, str | None]] = {}
        self.streams: list[PlannedStream] = []
        self.cuts: list[LinkedRow] = []

    async def begin(self) -> LineRow:
        """The stream that was named."""
        rows = await self._reads.stream(self._stream)
        if not rows:
            raise Refusal("STREAM_NOT_FOUND", "the stream never had an event", stream=self._stream)
        if rows[0].lifecycle == LIFECYCLE_DELETED:
            raise Refusal("STREAM_DELETED", "the stream was deleted", stream=self._stream)
        return rows[0]

    async def run(self, root: str) -> None:
        self.lines[root] = (None, None)
        step = [root]
        while step:
            rows = await self._reads.lines(step)
            self.streams += [
                PlannedStream(row.stream_no, row.name, row.root, row.version, *self.lines[row.root])
                for row in rows
                if row.lifecycle != LIFECYCLE_DELETED
            ]
            step = self._go_on(await self._reads.linked([row.name for row in rows]))
            if max(len(self.streams) + len(step), len(self.cuts)) > DELETION_STREAMS_MAX:
                raise Refusal(
                    "DELETION_TOO_LARGE",
                    f"more than {DELETION_STREAMS_MAX} streams would go, or links be cut",
                    stream=self._stream,
                    limit=DELETION_STREAMS_MAX,
                )

    def _go_on(self, linked: Sequence[LinkedRow]) -> list[str]:
        """The lines that the next step begins from."""
        step = []
        for link in linked:
            if link.policy != CASCADE:
                self.cuts.append(link)
            elif link.stream not in self.lines:
                self.lines[link.stream] = (link.owner, link.rule)
                step.append(link.stream)
        return step


def check_expected(expected: int, stream: str, actual: int) -> None:
    """Refuses a stream that is at another version than was expected; below 0: any is well, since
    there are events.
    """
    if 0 <= expected != actual:
        raise Refusal(
            "VERSION_CONFLICT",
            "the stream is at another version",
            stream=stream,
            expected=expected,
            actual=actual,
        )


def with_counts(
    plan: Plan,
    kept_states: int,
    projections: Sequence[Touched],
    referrers: int,
    copies: Sequence[str],
) -> Plan:
    """The plan with what would go beside the events."""
    return replace(
        plan,
        kept_states=kept_states,
        projections=projections,
        referrers=referrers,
        copies=copies,
    )
