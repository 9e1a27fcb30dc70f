"""Planning, starting and showing erasures."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

from eventfold import _core
from eventfold_server import failpoints
from eventfold_server.domain import requests
from eventfold_server.domain.erasure.plans import (
    ErasurePlan,
    PlaintextFound,
    erasure_plan,
    subject_ids,
)
from eventfold_server.domain.links import LinkFollowing
from eventfold_server.domain.privacy.administration import KeyParts
from eventfold_server.domain.privacy.cleanup import CleanedStream, Cleanup, Touched
from eventfold_server.domain.privacy.subject_index import SubjectIndex
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.limits import ERASURE_REASON_BYTES_MAX
from eventfold_server.storage.deletions import DeletionStorage
from eventfold_server.storage.erasures import ErasureRow, ErasureStorage

# Number, name, and root.
_Stream = tuple[int, str, str]
# What the domain knows of a job is its row.
Erasure = ErasureRow


class ErasureAdmin:
    """The erasures of one store."""

    def __init__(
        self,
        parts: KeyParts | None,
        storage: ErasureStorage,
        deletions: DeletionStorage,
        index: SubjectIndex,
        following: LinkFollowing,
        cleanup: Cleanup,
    ) -> None:
        """Without parts every call is refused: the server has no master key."""
        self._parts = parts
        self._storage = storage
        self._deletions = deletions
        self._index = index
        self._following = following
        self._cleanup = cleanup

    async def plan(self, subject: str) -> ErasurePlan:
        """What an erasure would do. Events and links are known up to its position at least."""
        store = self._configured().store
        hash_ = store.hash_of(subject_name(subject))
        await self._catch_up()
        position = await self._deletions.head()
        plan = await erasure_plan(
            self._storage.reads,
            subject,
            hash_,
            await store.subject_of_hash(hash_),
            position,
        )
        return await self._with_counts(plan, subject)

    async def erase(
        self, caller: Caller, subject: str, reason: str, request_id: str, digest: str
    ) -> Erasure:
        """Begins to erase a subject; the job, which may be there already. `digest`: of the plan
        that was agreed to, empty: whatever it is.
        """
        store = self._configured().store
        hash_ = store.hash_of(subject_name(subject))
        checked_reason(reason)
        erasure_id = uuid4() if not request_id else _uuid("request_id", request_id)
        if (known := await self._known(erasure_id, hash_)) is not None:
            return known
        await self._catch_up()
        # What is counted for people is counted before appends wait.
        counted = await self._with_counts(
            await erasure_plan(
                self._storage.reads,
                subject,
                hash_,
                await store.subject_of_hash(hash_),
                await self._deletions.head(),
            ),
            subject,
        )
        async with self._storage.held() as held:
            behind = await held.follow()
            if behind is not None:
                raise await self._following.behind(*behind, held.position)
            unseen = await held.follow_index()
            if unseen is not None:
                raise self._index.behind(*unseen)
            plan = await erasure_plan(
                held, subject, hash_, await store.subject_of_hash(hash_), held.position
            )
            if digest and digest != plan.digest:
                raise Refusal(
                    "ERASURE_PLAN_MOVED",
                    "the erasure would do something else than was agreed to",
                    plan_digest=plan.digest,
                )
            plan.refuse()
            told = replace(
                plan,
                plaintext=counted.plaintext,
                streams=counted.streams,
                referrers=counted.referrers,
            ).told()
            # Somebody may have begun one of the same subject meanwhile, under the same lock.
            if (known := await self._known(erasure_id, hash_)) is not None:
                return known
            await held.begin_erasure(
                erasure_id, hash_, reason, plan.digest, told, caller.writer, plan.roots
            )
        failpoints.reach("erasure_asked")
        return await self.get(str(erasure_id))

    async def get(self, erasure_id: str) -> Erasure:
        """The job."""
        found = await self._storage.get(_uuid("erasure_id", erasure_id))
        if found is None:
            raise Refusal(
                "ERASURE_NOT_FOUND", "there is no erasure of this id", erasure_id=erasure_id
            )
        return found

    async def page(self, subject: str, before: int, limit: int, *, is_open: bool) -> list[Erasure]:
        """Jobs whose number is below one (0: all), the newest first; of a subject, empty: of
        any.
        """
        hash_ = self._configured().store.hash_of(subject_name(subject)) if subject else None
        return await self._storage.page(before or (1 << 62), limit, hash_, is_open=is_open)

    async def _known(self, erasure_id: UUID, subject_hash: bytes) -> Erasure | None:
        """The job of this id, or that of the subject which is not done."""
        found = await self._storage.get(erasure_id)
        if found is not None and found.subject_hash != subject_hash:
            raise requests.invalid("request_id", "is that of another erasure")
        return found or await self._storage.open_of(subject_hash)

    async def _catch_up(self) -> None:
        await self._following.catch_up()
        await self._index.catch_up()

    async def _with_counts(self, plan: ErasurePlan, subject: str) -> ErasurePlan:
        """The plan with what only people want to know."""
        ids = subject_ids(plan.subject)
        streams = kept = 0
        if ids:
            streams, kept = await self._storage.reads.streams_and_kept_states(ids[0])
        numbers = [one.stream_no for one in plan.deleted]
        names = [one.stream for one in plan.deleted]
        return replace(
            plan,
            plaintext=await self._plaintext(subject),
            streams=streams,
            kept_states=kept,
            projections=await self._projections(plan, ids),
            referrers=await self._deletions.referrers(numbers, names) if numbers else 0,
        )

    async def _projections(self, plan: ErasurePlan, ids: Sequence[UUID]) -> list[Touched]:
        found: dict[tuple[str, int], Touched] = {}

        async def touch(streams: Iterable[_Stream], positions: Sequence[int] | None) -> None:
            cleaned = [CleanedStream(*one) for one in sorted(streams)]
            for one in await self._cleanup.touched(cleaned, positions) if cleaned else ():
                key = (one.projection, one.generation)
                known = found.get(key, one)
                found[key] = replace(one, rebuilt=one.rebuilt or known.rebuilt)

        await touch({(one.stream_no, one.stream, one.root) for one in plan.deleted}, None)
        async for page in self._index.events(ids):
            of_page = {(one.stream_no, one.stream, one.root) for one in page}
            await touch(of_page, [one.position for one in page])
        return [found[key] for key in sorted(found)]

    async def _plaintext(self, subject: str) -> list[PlaintextFound]:
        """Events of the subject from before their fields were declared."""
        found: dict[tuple[str | None, str | None], PlaintextFound] = {}
        for rules in await self._storage.plaintext_rules():
            personal = _core.Personal.stored(
                rules.normal_form, event_type=rules.type, category=rules.category
            )
            fields = [(at, of, category) for at, of, category, _ in personal.fields]
            events = await self._storage.plaintext(rules, subject, fields)
            if events:
                found[rules.type, rules.category] = PlaintextFound(
                    rules.type, rules.category, events, rules.plaintext_until
                )
        return list(found.values())

    def _configured(self) -> KeyParts:
        if self._parts is None:
            raise Refusal("KEYS_NOT_CONFIGURED", "the server has no master key")
        return self._parts


def subject_name(name: str) -> str:
    """The name of a subject, which is like one of a stream. What is wrong is told, and not the
    name.
    """
    try:
        _core.check_stream_name(name)
    except _core.CoreError as error:
        raise requests.invalid("subject", f"is named like a stream: {error.message}") from None
    return name


def checked_reason(reason: str) -> None:
    """Refuses a reason that says nothing, or too much."""
    if not requests.text("reason", reason).strip():
        raise requests.invalid("reason", "is required")
    if len(reason.encode()) > ERASURE_REASON_BYTES_MAX:
        raise requests.invalid(
            "reason", f"at most {ERASURE_REASON_BYTES_MAX} bytes", ERASURE_REASON_BYTES_MAX
        )


def _uuid(field: str, text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise requests.invalid(field, "must be a UUID") from None
