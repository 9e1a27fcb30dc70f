"""States that can hold personal values: for whom they are folded."""

from collections.abc import Iterable, Sequence

from eventfold import _core
from eventfold_server.domain.folding import FoldRef, FoldRegistry, in_thread
from eventfold_server.domain.requests import PERSONAL, Caller
from eventfold_server.errors import Refusal
from eventfold_server.storage.catalogue import Catalogue

# A state with `null` in place of absent values, and the pointers to those that were erased and that
# are withheld.
PublicState = tuple[bytes, Sequence[str], Sequence[str]]


class Blinds:
    """What a caller who may not see personal values gets of the states of one fold."""

    def __init__(
        self, catalogue: Catalogue, fold: _core.Fold, source: str, *, registered: bool
    ) -> None:
        """`registered`: the fold did not come with the call."""
        self._registered = registered
        self._catalogue = catalogue
        self._fold = fold
        # The very document: another revision of a fold may have come into force.
        self.ref = FoldRef(None, source)

    async def withhold(self, stream: str, states: Sequence[PublicState]) -> list[PublicState]:
        """States of a stream without what can be personal; PERSONAL_KEY where that cannot be told.

        They are to be folded before: whoever reads events has the rules that these were sealed
        under, or newer ones.
        """
        self.refuse_reading(stream)
        rules = self._catalogue.rules
        category = stream.partition("-")[0]
        try:
            return list(await in_thread(None, rules.withhold, self._fold, category, states))
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None

    async def paths(self, stream: str) -> list[str]:
        """What can be personal of states on a stream; PERSONAL_KEY."""
        rules = self._catalogue.rules
        category = stream.partition("-")[0]
        try:
            return await in_thread(None, rules.personal_paths, self._fold, category)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None

    def refuse_reading(self, stream: str) -> None:
        """PERSONAL_WITHHELD for a fold that came with the call and reads what can be personal on a
        stream, by the rules of now: others may have come into force since the call began.
        """
        if self._registered:
            return
        category = stream.partition("-")[0]
        found = self._catalogue.rules.read_by(self._fold, category)
        if found is not None:
            type_, field = found
            raise Refusal(
                "PERSONAL_WITHHELD",
                f"the fold reads `{field}` of `{type_}`, which can be personal: that needs the "
                f"permission {PERSONAL}, or a registered fold",
                type=type_,
                field=field,
                category=category,
                permission=PERSONAL,
            )

    async def refuse(self, stream: str) -> None:
        """PERSONAL_WITHHELD for a fold whose states can hold personal values on a stream."""
        self.refuse_reading(stream)
        pointers = await self.paths(stream)
        if pointers:
            raise Refusal(
                "PERSONAL_WITHHELD",
                f"states of the fold can hold personal values at `{pointers[0]}`: that needs "
                f"the permission {PERSONAL}",
                field=pointers[0],
                category=stream.partition("-")[0],
                permission=PERSONAL,
            )


class PersonalStates:
    """Keeps personal values in states from callers who may not see them."""

    def __init__(self, registry: FoldRegistry, catalogue: Catalogue) -> None:
        self._registry = registry
        self._catalogue = catalogue

    async def blinds(self, caller: Caller, streams: Iterable[str], ref: FoldRef) -> Blinds | None:
        """What is kept from a caller of the states of a fold; None: nothing, as the caller may see
        personal values, or nothing is sealed.

        PERSONAL_KEY for a fold of which it cannot be told what can be personal on these streams;
        PERSONAL_WITHHELD for one that came with the call and reads what can be personal: whoever
        writes a fold can have it tell in numbers and truth values what it has read.
        """
        if caller.personal or not self._catalogue.seals:
            return None
        source = ref.source
        if source is None:
            source = (await self._registry.get(ref.name or "", 0)).source
        registered = ref.source is None
        if not registered:
            # What this process knows may be old: it has read nothing yet.
            await self._catalogue.load()
        fold = await self._registry.compiled.get(source)
        found = Blinds(self._catalogue, fold, source, registered=registered)
        # One of each category.
        for stream in sorted({stream.partition("-")[0]: stream for stream in streams}.values()):
            found.refuse_reading(stream)
            await found.paths(stream)
        return found
