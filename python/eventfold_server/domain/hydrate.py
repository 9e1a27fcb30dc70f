"""Hydrating one stream: its state at the head, or at a point in the past."""

from dataclasses import dataclass

from eventfold import _core
from eventfold_server.domain.folding import FoldRef
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.domain.requests import readable_stream_name
from eventfold_server.domain.starts import Starts
from eventfold_server.errors import Refusal
from eventfold_server.storage.kept import HydrateHead, Upto
from eventfold_server.storage.log import LogStorage

# The point up to which events count.
At = Upto


@dataclass(frozen=True)
class Hydrated:
    """A state; see the proto."""

    result: _core.FoldResult
    fold_digest: str
    kept_version: int

    @property
    def events_read(self) -> int:
        """Events that were read for it. The run never sees the one at the kept version, which was
        read to compare its id.
        """
        return self.result.events_read + (self.kept_version > 0)


class Hydrator:
    """Hydrates the streams of one store."""

    def __init__(self, log: LogStorage, starts: Starts) -> None:
        self._log = log
        self._starts = starts

    async def hydrate(self, stream: str, ref: FoldRef, upto: Upto) -> bytes:
        """Folds the stream; the answer as a serialised `HydrateResponse`."""
        readable_stream_name(stream)
        if upto.position is not None:
            await self._check_position(stream, ref, upto.position)
        answer = await self._starts.hydrate(stream, ref, upto)
        head, found = answer.head, answer.found
        if head.lifecycle == LIFECYCLE_DELETED:
            raise Refusal("STREAM_DELETED", "the stream was deleted", stream=stream)
        if found.result is not None:
            return found.encoded
        assert upto.version is not None
        raise version_ahead(head, upto.version)

    async def _check_position(self, stream: str, ref: FoldRef, position: int) -> None:
        """Refuses a position beyond the head of the log, if nothing else is to be refused."""
        deleted = (await self._starts.of(stream, ref, 0)).deleted
        if deleted is not None:
            raise deleted
        head = await self._log.head()
        if position > head:
            raise Refusal(
                "POSITION_AHEAD",
                f"position {position} lies beyond the head {head}",
                requested=position,
                head=head,
            )


def version_ahead(head: HydrateHead, version: int) -> Refusal:
    """The refusal for a version that the stream has not reached."""
    return Refusal(
        "VERSION_AHEAD",
        f"version {version} lies beyond the head {head.version}",
        stream=head.name,
        requested=version,
        head=head.version,
    )
