"""Whether targets hold what the document makes of the sources, copy by copy."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing

from eventfold import _core
from eventfold_server.domain.transforms.remote import RemoteTarget
from eventfold_server.errors import Refusal
from eventfold_server.storage.transform_chunks import Chunk
from eventfold_server.storage.transform_writer import TransformWriter
from eventfold_server.storage.transforms import ClaimedTransform

# Digests of both sides of a target, and the number of copies in them.
Compared = dict[str, tuple[int, bytes, bytes]]

# Before the first copy in a stream.
_NOTHING = bytes(32)


async def compare(
    writer: TransformWriter,
    claimed: ClaimedTransform,
    chunk: Chunk,
    remote: RemoteTarget | None,
    key: bytes | None,
) -> tuple[int, Compared]:
    """Compares what a chunk should have become with what is stored: the number of copies, and by
    target the digests of all that was compared so far, under a key if there is one: what they are
    of can be personal. Raises TRANSFORM_DIFFERS.
    """
    if chunk.copies is None or not chunk.copies.events:
        return 0, {}
    fresh = _core.StreamHashes()
    fresh.add_copies(chunk.copies)
    targets = [stream for stream, _, _ in fresh.streams]
    known = await writer.verified_targets(claimed.number, targets)
    wanted = _core.StreamHashes(
        [(name, events, wanted or _NOTHING) for name, (events, wanted, _) in known.items()],
        key=key,
    )
    before = {name: (events, found or _NOTHING) for name, (events, _, found) in known.items()}
    wanted.add_copies(chunk.copies)
    if remote is None:
        found = await digested(writer, before, [id_ for _, id_ in chunk.ids], key)
    else:
        there = await remote.digests(before, chunk.ids)
        found = _core.StreamHashes([(name, *digest) for name, digest in there.items()])
    differing, first = wanted.differences(found, 1)
    if differing:
        stream, expected, actual = first[0]
        raise differs(claimed, stream, "copies", expected, actual)
    digests = {stream: digest for stream, _, digest in found.streams}
    compared = {
        stream: (events, digest, digests[stream]) for stream, events, digest in wanted.streams
    }
    return chunk.copies.events, compared


async def digested(
    writer: TransformWriter,
    streams: Mapping[str, tuple[int, bytes]],
    ids: Sequence[str],
    key: bytes | None = None,
) -> _core.StreamHashes:
    """Hashes of streams, gone on with by those of the copies with these ids that are stored."""
    found = _core.StreamHashes([(name, *digest) for name, digest in streams.items()], key=key)
    async with aclosing(writer.copies(ids)) as pages:
        async for page in pages:
            if page.batch is not None and page.rows:
                found.add_batch(page.batch)
    return found


def differs(
    claimed: ClaimedTransform,
    stream: str,
    problem: str,
    expected: int | None = None,
    actual: int | None = None,
) -> Refusal:
    """The refusal for what is not as it should be."""
    return Refusal(
        "TRANSFORM_DIFFERS",
        "a target is not what the document makes of the sources",
        transform_id=claimed.transform_id,
        stream=stream,
        expected=expected,
        actual=actual,
        problem=problem,
    )
