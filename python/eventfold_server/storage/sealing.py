"""Sealing the personal values of appends, behind all that is checked and before they are stored."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from eventfold import _core
from eventfold_server.errors import Refusal
from eventfold_server.limits import KNOWN_ROOTS_MAX
from eventfold_server.storage.appends import AppendStorage

if TYPE_CHECKING:
    from collections.abc import Collection

    from eventfold_server.storage.writer import Waiting


class LoadsKeys(Protocol):
    """What brings keys into the keyring."""

    async def load_names(self, names: "Collection[str]") -> None:
        """Those of these subjects."""

    async def load_ids(self, subjects: "Collection[bytes]") -> None:
        """Those of the subjects with these ids."""


class Sealer:
    """Seals appends with the keys of one store.

    A stream is taken for the root of its line until the database says that it is not: most are.
    """

    def __init__(
        self, storage: AppendStorage, keyring: _core.Keyring | None, loader: LoadsKeys | None
    ) -> None:
        """Without a keyring, appends with personal values are refused."""
        self._storage = storage
        self._keyring = keyring
        self._loader = loader
        # Of streams that are not their own roots; the oldest goes first.
        self._roots: dict[str, str] = {}

    def is_sealed(self, append: _core.Append) -> bool:
        """Seals an append if all keys are in memory; False: `seal` is needed, or tells why not."""
        try:
            return self._keyring is not None and not append.seal(self._keyring, self._known(append))
        except _core.CoreError:
            return False

    async def seal(self, append: _core.Append, predecessor: str | None = None) -> None:
        """Seals an append; keys that are missing are brought first. KEYS_UNAVAILABLE.

        One that the rules refuse is not: it can only turn out to be stored already. `predecessor`:
        see `look_up`.
        """
        if self._keyring is None or self._loader is None:
            if append.refused:
                return
            raise _not_configured()
        try:
            if not append.seal(self._keyring, self._known(append)):
                return
            # No key is made for a stream that is not its own root.
            await self.look_up(append, predecessor)
            while append.seal(self._keyring, self._known(append)):
                await self._loader.load_names(append.subjects(self._known(append)))
                await self._loader.load_ids(append.subject_ids)
        except _core.CoreError as error:
            raise Refusal.of_core(error) from None

    async def look_up(self, append: _core.Append, predecessor: str | None = None) -> None:
        """Notes which streams of an append are not their own roots, for when it is sealed again.
        `predecessor`: its stream is opened by the close of this one, whose root is that of both.
        """
        streams = append.subject_streams
        if not streams:
            return
        if predecessor is None:
            found = await self._storage.roots(streams)
        else:
            roots = await self._storage.roots([predecessor])
            found = dict.fromkeys(streams, roots.get(predecessor, predecessor))
        for stream in streams:
            self._roots.pop(stream, None)
        for stream, root in found.items():
            if len(self._roots) >= KNOWN_ROOTS_MAX:
                self._roots.pop(next(iter(self._roots)))
            self._roots[stream] = root

    def _known(self, append: _core.Append) -> dict[str, str]:
        if not self._roots:
            return {}
        streams = append.subject_streams
        return {stream: self._roots[stream] for stream in streams if stream in self._roots}


class Sealing:
    """Seals appends for which keys have to be brought first, while others are stored."""

    def __init__(self, sealer: Sealer, done: Callable[["Waiting"], None]) -> None:
        """`done` gets each append that was sealed, or that was told of a fault."""
        self._sealer = sealer
        self._done = done
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, waiting: "Waiting") -> None:
        """Takes an append."""
        task = asyncio.create_task(self._seal(waiting))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _seal(self, waiting: "Waiting") -> None:
        try:
            await self._sealer.seal(waiting.append)
        except Exception as error:  # noqa: BLE001 - the append is told
            waiting.fail(error)
        self._done(waiting)


def _not_configured() -> Refusal:
    return Refusal(
        "KEYS_UNAVAILABLE",
        "the append has personal values, and this server has no key store; nothing was stored",
        problem="not_configured",
    )
