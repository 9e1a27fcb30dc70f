"""Hydrating one stream: its state at the head, or at a point in the past."""

from dataclasses import dataclass

from eventfold import _core
from eventfold_server.domain.folding import FoldRef
from eventfold_server.domain.lines import Lines
from eventfold_server.domain.read import LIFECYCLE_DELETED
from eventfold_server.domain.requests import Follow, invalid, readable_stream_name
from eventfold_server.domain.starts import Answer, Starts
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


@dataclass(frozen=True)
class Followed:
    """A state, and the stream in which it ended."""

    stream: str
    # Of that stream: a `HydrateResponse`.
    encoded: bytes
    # What the streams before it take.
    events_read: int = 0
    events_folded: int = 0


class Hydrator:
    """Hydrates the streams of one store."""

    def __init__(self, log: LogStorage, starts: Starts, lines: Lines) -> None:
        self._log = log
        self._starts = starts
        self._lines = lines

    async def hydrate(self, stream: str, ref: FoldRef, upto: Upto) -> bytes:
        """Folds the stream; the answer as a serialised `HydrateResponse`."""
        readable_stream_name(stream)
        if upto.position is not None:
            await self._check_position(stream, ref, upto.position)
        return _checked(await self._lines.hydrate(stream, ref, upto), upto).found.encoded

    async def follow(self, stream: str, ref: FoldRef, upto: Upto, follow: Follow) -> Followed:
        """Folds the last stream of the line, or all of it."""
        readable_stream_name(stream)
        if upto.version is not None:
            raise invalid("version", "is of one stream: it does not go with `follow`")
        if upto.position is not None:
            await self._check_position(stream, ref, upto.position)
        if follow is Follow.ALL:
            through = await self._lines.through(stream, ref, upto)
            answer = _checked(through.answer, upto)
            return Followed(
                answer.stream, answer.found.encoded, through.events_read, through.events_folded
            )
        while True:
            end = await self._lines.end(stream, upto)
            at = stream if end is None else end.name
            answer = _checked(await self._lines.hydrate(at, ref, upto), upto)
            # Closed meanwhile, it is the last one no more, unless it just ended.
            was = None if end is None else end.lifecycle
            if not upto.by_version or was is None or answer.head.lifecycle == was:
                return Followed(at, answer.found.encoded)

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


def _checked(answer: Answer, upto: Upto) -> Answer:
    """The answer, if it has a state."""
    if answer.head.lifecycle == LIFECYCLE_DELETED:
        raise Refusal("STREAM_DELETED", "the stream was deleted", stream=answer.stream)
    if answer.found.result is None:
        assert upto.version is not None
        raise version_ahead(answer.head, upto.version)
    return answer


def version_ahead(head: HydrateHead, version: int) -> Refusal:
    """The refusal for a version that the stream has not reached."""
    return Refusal(
        "VERSION_AHEAD",
        f"version {version} lies beyond the head {head.version}",
        stream=head.name,
        requested=version,
        head=head.version,
    )
