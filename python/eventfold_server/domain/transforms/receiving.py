"""Copies that jobs on other servers send."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from eventfold import _core
from eventfold_server import failpoints
from eventfold_server.domain.append import Appender
from eventfold_server.domain.refusals import refusal_of
from eventfold_server.domain.requests import Caller, invalid
from eventfold_server.domain.transforms.comparing import digested
from eventfold_server.domain.transforms.stores import other_store
from eventfold_server.storage.appends import AppendStorage, WrongCancels
from eventfold_server.storage.transform_writer import TransformWriter
from eventfold_server.storage.transforms import TransformStorage


@dataclass(frozen=True)
class Copies:
    """Copies for one stream."""

    # A serialised `AppendRequest`.
    append: bytes
    copied_from: Sequence[UUID]
    # None: it cancels nothing.
    cancels: Sequence[UUID | None]


class Receiver:
    """Stores copies, and tells what is stored of them."""

    def __init__(
        self,
        appender: Appender,
        appends: AppendStorage,
        transforms: TransformStorage,
        writer: TransformWriter,
        committed: Callable[[int], object],
    ) -> None:
        """`committed` gets positions that the log has reached."""
        self._appender = appender
        self._appends = appends
        self._transforms = transforms
        self._writer = writer
        self._committed = committed

    async def append(self, caller: Caller, store_id: UUID, copies: Sequence[Copies]) -> list[bool]:
        """Stores copies that are meant for this store; for each append whether it was already."""
        own = await self._transforms.store_id()
        if own != store_id:
            raise other_store(own, "other")
        return [await self._append(caller, one) for one in copies]

    async def _append(self, caller: Caller, copies: Copies) -> bool:
        append = self._appender.checked(caller, copies.append)
        outcome = await self._appender.under_rules(
            [append],
            lambda: self._appends.append_copies(append, copies.copied_from, copies.cancels),
        )
        if isinstance(outcome, WrongCancels):
            raise invalid("cancels", "is no copy in the stream that can be cancelled")
        if isinstance(outcome, _core.Decision):
            raise refusal_of(outcome)
        failpoints.reach("copies_received")
        if not outcome.duplicate:
            self._committed(outcome.positions[-1])
        return outcome.duplicate

    async def digests(
        self, streams: Sequence[tuple[str, int, bytes]], ids: Sequence[str]
    ) -> tuple[UUID, list[tuple[str, int, bytes]], dict[str, int]]:
        """The store, digests of streams with the next copies of them, and their versions."""
        before = {name: (events, digest) for name, events, digest in streams if events}
        hashes = await digested(self._writer, before, ids)
        found = {name: (name, events, digest) for name, events, digest in hashes.streams}
        rows = [found.pop(name, (name, 0, b"")) for name, _, _ in streams]
        rows = sorted([*rows, *found.values()])
        versions = await self._transforms.versions([name for name, _, _ in rows])
        return await self._transforms.store_id(), rows, versions
