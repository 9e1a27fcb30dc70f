"""Starting, showing, cutting over and cancelling transforms."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from eventfold_server import failpoints, limits
from eventfold_server.domain import requests
from eventfold_server.domain.folding import FoldRegistry
from eventfold_server.domain.privacy.declaring import check_sight
from eventfold_server.domain.requests import Caller
from eventfold_server.domain.transforms.documents import compiled
from eventfold_server.domain.transforms.plans import Plan, Planner, refusal_of_circle
from eventfold_server.domain.transforms.states import (
    CANCELLED,
    COPYING,
    CUTTING_OVER,
    FAILED,
    NAMES,
    TRYING,
    UNDOING,
    VERIFIED,
    VERIFYING,
)
from eventfold_server.domain.transforms.stores import known_target
from eventfold_server.errors import Refusal
from eventfold_server.storage.remote import RemoteStore
from eventfold_server.storage.transforms import (
    SourceRow,
    TargetRow,
    TransformRow,
    TransformStorage,
)

# What the domain knows of a transform and its streams is their rows.
Transform = TransformRow
Source = SourceRow
Target = TargetRow


@dataclass(frozen=True)
class Streams:
    """Some streams of a transform."""

    sources: list[Source]
    targets: list[Target]
    # More of either are behind the last of them.
    more: bool


_START = "/eventfold.v1.Transforms/StartTransform"


class TransformAdmin:
    """The transforms of one store."""

    def __init__(
        self,
        storage: TransformStorage,
        folds: FoldRegistry,
        planner: Planner,
        targets: Mapping[str, RemoteStore],
        declares: Callable[[Sequence[str] | None], bool],
    ) -> None:
        """`declares`: whether something can be personal in events of categories; None: of any."""
        self._declares = declares
        self._storage = storage
        self._targets = targets
        self._folds = folds
        self._planner = planner

    async def start(
        self, caller: Caller, source: str, states_max: int, *, dry_run: bool, target: str = ""
    ) -> Transform:
        """A new one, which a server process takes soon. `target`: another server that it copies to;
        empty: none.
        """
        document = await compiled(source)
        if dry_run:
            categories = sorted(document.source_categories) or None
            is_personal = self._declares(categories)
            check_sight(caller, is_personal=is_personal, method=_START)
        if not target and (circle := await refusal_of_circle(self._storage, document)) is not None:
            raise circle
        if not 0 <= states_max <= limits.TRANSFORM_STATES_MAX:
            raise requests.invalid(
                "states_max",
                f"must be from 0 to {limits.TRANSFORM_STATES_MAX}",
                limits.TRANSFORM_STATES_MAX,
            )
        if target:
            known_target(self._targets, requests.text("target", target))
        # The second of them is the other server's.
        for fold in (document.transform.verify or ())[: 1 if target else 2]:
            await self._folds.get(fold, 0)
        if not dry_run and not target:
            # Copies on another server are none of those who read this one. A dry run lists all of
            # them; the job looks again, behind whoever began meanwhile.
            await self._planner.readers.refuse_ambiguous(document.read_categories, document.into)
        transform_id = uuid4()
        await self._storage.insert(
            transform_id,
            document.transform.name,
            source,
            document.transform.digest,
            dry_run=dry_run,
            states_max=states_max or limits.TRANSFORM_STATES_DEFAULT,
            by=caller.writer,
            target=target or None,
        )
        failpoints.reach("transform_started")
        return await self.get(str(transform_id))

    async def get(self, transform_id: str) -> Transform:
        """The transform."""
        found = await self._storage.get(_id(transform_id))
        if found is None:
            raise _not_found(transform_id)
        return found

    async def page(self, before: int, limit: int) -> list[Transform]:
        """Transforms whose number is below one, the newest first; 0: all."""
        return await self._storage.page(before or (1 << 62), limit)

    async def streams(self, transform: Transform, after: str, limit: int) -> Streams:
        """Sources and targets behind a name, up to where the shorter list of both ends."""
        number = transform.transform_no
        sources = await self._storage.sources(number, after, limit + 1)
        targets = await self._storage.targets(number, after, limit + 1)
        ends = [rows[limit - 1].stream for rows in (sources, targets) if len(rows) > limit]
        if not ends:
            return Streams(sources, targets, more=False)
        # UTF-8 and code points have one order.
        end = min(ends)
        return Streams(
            [row for row in sources if row.stream <= end],
            [row for row in targets if row.stream <= end],
            more=True,
        )

    async def cut_over(
        self, transform_id: str, cutover_ms_max: int, *, dry_run: bool
    ) -> tuple[Transform, Plan]:
        """The transform, whose cut-over has begun, and what that does not do by itself."""
        lower, upper = limits.TRANSFORM_CUTOVER_MS_MIN, limits.TRANSFORM_CUTOVER_MS_MAX
        if cutover_ms_max and not lower <= cutover_ms_max <= upper:
            raise requests.invalid("cutover_ms_max", f"must be from {lower} to {upper}", upper)
        found = await self.get(transform_id)
        if found.target is not None:
            # It has copied for others, and nothing here takes the place of its sources.
            raise _wrong_state(transform_id, found.state)
        plan = await self._planner.plan(found)
        if dry_run:
            return found, plan
        state = await self._storage.move(
            found.transform_id,
            [VERIFIED],
            CUTTING_OVER,
            cutover_ms_max=cutover_ms_max or limits.TRANSFORM_CUTOVER_MS_DEFAULT,
        )
        if state != VERIFIED:
            raise _wrong_state(transform_id, state)
        failpoints.reach("transform_cut_over_asked")
        return await self.get(transform_id), plan

    async def cancel(self, transform_id: str) -> Transform:
        """The transform, which does nothing more but undo what its cut-over did."""
        may_end = [TRYING, COPYING, VERIFYING, VERIFIED, CUTTING_OVER, FAILED]
        state = await self._storage.move(_id(transform_id), may_end, UNDOING, ends=CANCELLED)
        if state not in may_end:
            raise _wrong_state(transform_id, state)
        failpoints.reach("transform_cancel_asked")
        return await self.get(transform_id)


def _id(transform_id: str) -> UUID:
    try:
        return UUID(transform_id)
    except ValueError:
        raise requests.invalid("transform_id", "must be a UUID") from None


def _not_found(transform_id: str) -> Refusal:
    return Refusal(
        "TRANSFORM_NOT_FOUND", "there is no transform of this id", transform_id=transform_id
    )


def _wrong_state(transform_id: str, state: int | None) -> Refusal:
    if state is None:
        return _not_found(transform_id)
    return Refusal(
        "TRANSFORM_STATE",
        f"the transform is {NAMES[state].replace('_', ' ')}",
        transform_id=transform_id,
        state=NAMES[state],
    )
