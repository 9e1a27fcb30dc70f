"""Planning, starting and showing deletions."""

from collections.abc import Callable, Sequence
from uuid import UUID, uuid4

from eventfold_server import failpoints
from eventfold_server.domain import requests
from eventfold_server.domain.deletion.plans import (
    Plan,
    check_expected,
    legal_hold,
    plan_of,
    with_counts,
)
from eventfold_server.domain.links import LinkFollowing
from eventfold_server.domain.privacy.cleanup import CleanedStream, Cleanup
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.limits import DELETION_COPIES_SHOWN_MAX, DELETION_REASON_BYTES_MAX
from eventfold_server.storage.deletions import (
    DeletedRow,
    DeletionRow,
    DeletionStorage,
    DetachedRow,
)

# What the domain knows of a job, its streams and the links that it cut is their rows.
Deletion = DeletionRow
Deleted = DeletedRow
Detached = DetachedRow


class DeletionAdmin:
    """The deletions of one store."""

    def __init__(
        self,
        storage: DeletionStorage,
        following: LinkFollowing,
        cleanup: Cleanup,
        subject_hashes: Callable[[Sequence[str]], Sequence[bytes]],
    ) -> None:
        """`subject_hashes`: what stands for the subjects that streams name, in legal holds."""
        self._storage = storage
        self._following = following
        self._cleanup = cleanup
        self._subject_hashes = subject_hashes

    async def plan(self, stream: str) -> Plan:
        """What a deletion of the stream would do. Links are known up to its position at least."""
        requests.client_stream_name(stream)
        await self._following.catch_up()
        position = await self._storage.head()
        plan = await plan_of(self._storage.reads, stream, position)
        numbers = [one.stream_no for one in plan.streams]
        return with_counts(
            plan,
            await self._storage.kept_states(numbers),
            await self._cleanup.touched(
                [CleanedStream(one.stream_no, one.stream, one.root) for one in plan.streams]
            ),
            await self._storage.referrers(numbers, [one.stream for one in plan.streams]),
            await self._storage.copies(numbers, DELETION_COPIES_SHOWN_MAX),
        )

    async def delete(
        self, caller: Caller, stream: str, expected: int, reason: str, digest: str
    ) -> Deletion:
        """Deletes the stream and what goes with it; the job that does the rest. `expected`: a
        version, or below 0. `digest`: of the plan that was agreed to, empty: whatever it is.
        """
        requests.client_stream_name(stream)
        _check_reason(reason)
        # What is left is looked through while appends wait.
        await self._following.catch_up()
        deletion_id = uuid4()
        async with self._storage.held() as held:
            behind = await held.follow()
            if behind is not None:
                raise await self._following.behind(*behind, held.position)
            plan = await plan_of(held, stream, held.position)
            check_expected(expected, stream, plan.version)
            if digest and digest != plan.digest:
                raise Refusal(
                    "DELETION_PLAN_MOVED",
                    "the deletion would do something else than was agreed to",
                    stream=stream,
                    plan_digest=plan.digest,
                )
            plan.refuse_restricted()
            roots = sorted({one.root for one in plan.streams})
            holds = await held.holds_on(roots, self._subject_hashes(roots))
            if holds:
                raise legal_hold(holds, stream)
            await held.begin(
                deletion_id,
                plan.stream,
                reason,
                plan.digest,
                caller.writer,
                [(one.stream, one.owner, one.rule) for one in plan.streams],
                [(cut.stream, cut.owner, cut.rule) for cut in plan.detached],
            )
        failpoints.reach("deletion_asked")
        return await self.get(str(deletion_id))

    async def get(self, deletion_id: str) -> Deletion:
        """The job."""
        try:
            found = await self._storage.get(UUID(deletion_id))
        except ValueError:
            raise requests.invalid("deletion_id", "must be a UUID") from None
        if found is None:
            raise Refusal(
                "DELETION_NOT_FOUND", "there is no deletion of this id", deletion_id=deletion_id
            )
        return found

    async def page(self, stream: str, before: int, limit: int) -> list[Deletion]:
        """Jobs whose number is below one (0: all), the newest first; of a stream, empty: of any."""
        if stream:
            requests.client_stream_name(stream)
        return await self._storage.page(before or (1 << 62), limit, stream or None)

    async def streams(self, deletion: Deletion, after: str, limit: int) -> Sequence[Deleted]:
        """Streams of a job behind a name, in byte order."""
        return await self._storage.streams(deletion.deletion_no, after, limit)

    async def detached(self, deletion: Deletion) -> Sequence[Detached]:
        """Links that a job has dropped."""
        return await self._storage.detached(deletion.deletion_no)


def _check_reason(reason: str) -> None:
    if not requests.text("reason", reason).strip():
        raise requests.invalid("reason", "is required")
    if len(reason.encode()) > DELETION_REASON_BYTES_MAX:
        raise requests.invalid(
            "reason", f"at most {DELETION_REASON_BYTES_MAX} bytes", DELETION_REASON_BYTES_MAX
        )
