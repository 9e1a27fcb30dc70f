"""Goal: a close and what races with it exclude each other, and long lines are read in parts.

Method: the domain in this process on a PostgreSQL: streams that move each time that they were
folded, until the server gives up or not; closes of one stream and of streams for one successor at
once, with appends; rules that change under a close; a line that has more streams than one question
asks for.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from tests.support.mappings import put_mapping
from tests.support.writers import ME, Store, new, opened

from eventfold_server import limits
from eventfold_server.domain.closing import CLOSED_TYPE, OPENED_TYPE, Closed, Closer, Closing
from eventfold_server.domain.folding import FoldRef, FoldRegistry
from eventfold_server.domain.kept import KeptStates
from eventfold_server.domain.lines import Lines
from eventfold_server.domain.starts import Answer, Starts
from eventfold_server.errors import Refusal
from eventfold_server.services.closing_messages import append_message
from eventfold_server.storage import lines as storage_lines
from eventfold_server.storage.folds import FoldStorage
from eventfold_server.storage.kept import KeptStorage
from eventfold_server.storage.lines import LineStorage

FOLD = "fold: n\ninitial: {n: 0}\nhandlers: {T: {n: state.n + 1}}\n"


class MovingLines(Lines):
    """After each fold something happens to the stream."""

    then: Callable[[], Awaitable[object]] | None = None
    folded = 0

    async def hydrate(self, *arguments: Any, **more: Any) -> Answer:
        answer = await super().hydrate(*arguments, **more)
        self.folded += 1
        if self.then is not None:
            await self.then()
        return answer


class Books:
    """A store, and what closes its streams."""

    def __init__(self, store: Store) -> None:
        database = store.storage._database
        self.store = store
        self.storage = LineStorage(database)
        kept = KeptStorage(database, store.catalogue)
        registry = FoldRegistry(FoldStorage(database))
        self.kept = KeptStates(kept)
        starts = Starts(kept, registry, self.kept)
        self.lines = MovingLines(self.storage, starts, registry)
        self.committed: list[int] = []
        self.closer = Closer(self.storage, self.lines, store.appender, self.committed.append)

    async def append(self, stream: str) -> None:
        await self.store.append(new(stream))

    async def close(
        self, stream: str, successor: str | None, version: int | None = None, **more: Any
    ) -> Closed:
        closing = Closing(
            stream=stream,
            version=version,
            folds=[FoldRef(None, FOLD)] if successor else [],
            successor=successor,
            closing_type=CLOSED_TYPE,
            opening_type=OPENED_TYPE,
            **{"closing_data": b"", "opening_data": b"", "closing_id": "", "opening_id": "",
               "through": False, **more},
        )  # fmt: skip
        return await self.closer.close(ME, closing, append_message)


@pytest.fixture
async def books(database_url: str) -> AsyncIterator[Books]:
    async with opened(database_url, f"s_{uuid.uuid4().hex}") as store:
        yield Books(store)


@pytest.mark.parametrize("moves", [1, limits.CLOSE_ATTEMPTS_MAX - 1, limits.CLOSE_ATTEMPTS_MAX])
async def test_a_stream_that_moves(books: Books, moves: int) -> None:
    await books.append("a-1")

    async def move() -> None:
        if books.lines.folded <= moves:
            await books.append("a-1")

    books.lines.then = move
    if moves < limits.CLOSE_ATTEMPTS_MAX:
        closed = await books.close("a-1", "a-1@1")
        assert closed.version == moves + 2
        assert books.lines.folded == moves + 1
        assert books.committed == [closed.opening_position]
        found = await books.lines.hydrate("a-1@1", FoldRef(None, FOLD), storage_lines.Upto())
        assert found.found.result is not None
        assert found.found.result.state == b'{"n":%d}' % (moves + 1)
        return
    with pytest.raises(Refusal) as refused:
        await books.close("a-1", "a-1@1")
    assert refused.value.reason == "VERSION_CONFLICT"
    assert refused.value.facts == {"stream": "a-1", "expected": "exists", "actual": str(moves + 1)}
    assert books.lines.folded == moves
    assert books.committed == []


async def test_an_exact_version_is_tried_once(books: Books) -> None:
    await books.append("a-1")
    books.lines.then = lambda: books.append("a-1")
    with pytest.raises(Refusal) as refused:
        await books.close("a-1", "a-1@1", version=1)
    assert refused.value.facts == {"stream": "a-1", "expected": "1", "actual": "2"}
    assert books.lines.folded == 1


async def test_somebody_else_closes_it_meanwhile(books: Books) -> None:
    await books.append("a-1")

    async def close() -> None:
        books.lines.then = None
        await books.close("a-1", "a-1@1")

    books.lines.then = close
    assert (await books.close("a-1", "a-1@1")).duplicate
    books.lines.then = None
    await books.append("b-1")

    async def other() -> None:
        books.lines.then = None
        await books.close("b-1", "b-1@other")

    books.lines.then = other
    with pytest.raises(Refusal) as refused:
        await books.close("b-1", "b-1@1")
    assert refused.value.reason == "STREAM_CLOSED"
    assert refused.value.facts == {"stream": "b-1", "successor": "b-1@other"}


async def test_the_successor_comes_about_meanwhile(books: Books) -> None:
    await books.append("a-1")
    books.lines.then = lambda: books.append("a-1@1")
    with pytest.raises(Refusal) as refused:
        await books.close("a-1", "a-1@1")
    assert refused.value.reason == "SUCCESSOR_EXISTS"
    [(lifecycle, version)] = books.store.rows(
        "SELECT lifecycle, version FROM {}.streams WHERE name = 'a-1'"
    )
    assert (lifecycle, version) == (1, 1)


async def test_rules_that_move_under_a_close(books: Books) -> None:
    """It is checked again under the new ones, and stored once."""
    await books.append("a-1")

    async def change() -> None:
        books.lines.then = None
        books.store.rows("SELECT {}.catalogue_changed_v1()")

    books.lines.then = change
    closed = await books.close("a-1", "a-1@1")
    assert (closed.version, closed.opening_position) == (2, 3)
    assert books.store.rows("SELECT count(*) FROM {}.events") == [(3,)]


async def test_two_streams_for_one_successor(books: Books) -> None:
    for stream in ("a-1", "a-2"):
        await books.append(stream)
    results = await asyncio.gather(
        books.close("a-1", "a-3"), books.close("a-2", "a-3"), return_exceptions=True
    )
    refused = [one for one in results if isinstance(one, Refusal)]
    assert [one.reason for one in refused] == ["SUCCESSOR_EXISTS"]
    assert books.store.rows("SELECT count(*) FROM {}.streams WHERE lifecycle = 2") == [(1,)]


async def test_closes_and_appends_at_once(books: Books) -> None:
    """Whatever is stored in the old stream is in the state that is carried."""
    for round_ in range(10):
        stream = f"a-{round_}"
        await books.append(stream)

        async def append(stream: str = stream) -> str:
            try:
                await books.append(stream)
            except Refusal as refusal:
                return refusal.reason
            return "stored"

        work = [append() for _ in range(10)]
        closing = asyncio.create_task(books.close(stream, stream + "@1"))
        ends = await asyncio.gather(*work)
        closed = await closing
        assert await append() == "STREAM_CLOSED"
        assert set(ends) <= {"stored", "STREAM_CLOSED"}
        stored = ends.count("stored")
        assert closed.version == stored + 2
        found = await books.lines.hydrate(stream + "@1", FoldRef(None, FOLD), storage_lines.Upto())
        assert found.found.result is not None
        assert found.found.result.state == b'{"n":%d}' % (stored + 1)


async def test_a_line_of_more_streams_than_a_page(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_lines, "LINE_PAGE_STREAMS", 2)
    names = ["a-1", *(f"a-1@{number}" for number in range(1, 6))]
    await books.append(names[0])
    for name, successor in itertools.pairwise(names):
        await books.append(name)
        await books.close(name, successor)
    for name in names:
        forwards = [row.name async for row in books.storage.periods(name)]
        backwards = [row.name async for row in books.storage.periods(name, backwards=True)]
        assert (forwards, backwards) == (names, names[::-1])
        end = await books.storage.end(name)
        assert end is not None
        assert end.name == names[-1]
    through = await books.lines.through("a-1", FoldRef(None, FOLD), storage_lines.Upto())
    assert through.answer.found.result is not None
    assert through.answer.found.result.state == b'{"n":6}'
    assert await books.storage.end("a-2") is None


@pytest.mark.parametrize("is_registered", [False, True])
async def test_only_states_of_registered_folds_are_kept(books: Books, is_registered: bool) -> None:
    await books.append("a-1")
    await books.close("a-1", "a-1@1")
    changed = FOLD.replace("+ 1", "+ 2") + "keep: {every: 1}\n"
    ref = FoldRef(None, changed)
    if is_registered:
        await books.lines._registry.put(ME, changed)
        ref = FoldRef("n", None)
    await books.lines.through("a-1", ref, storage_lines.Upto())
    # What follows all periods leaves a state of the first stream alone.
    assert [stream for stream, _ in books.kept._memory] == ["a-1"] * is_registered
    answer = await books.lines.hydrate("a-1@1", ref, storage_lines.Upto())
    assert answer.found.result is not None
    assert answer.found.result.state == b'{"n":2}'
    assert [stream for stream, _ in books.kept._memory] == ["a-1", "a-1@1"] * is_registered


async def test_mappings_that_change_while_a_line_is_folded(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No state is kept that read some periods by one mapping, and some by another."""
    names = ["a-1", "a-1@1", "a-1@2"]
    await books.append(names[0])
    for name, successor in itertools.pairwise(names):
        await books.close(name, successor)
        await books.append(successor)
    changed = FOLD.replace("+ 1", "+ event.?n.orValue(1)") + "keep: {every: 1}\n"
    await books.lines._registry.put(ME, changed)
    hydrate, ref = books.lines._starts.hydrate, FoldRef("n", None)
    seen: list[str] = []

    async def changing(stream: str, *arguments: Any, **more: Any) -> Answer:
        answer = await hydrate(stream, *arguments, **more)
        seen.append(stream)
        if len(seen) in (2, 4):
            source = f"mapping: T\ncomputed: {{n: '{10 ** len(seen)}'}}\n"
            async with books.storage._database.reading() as connection:
                await put_mapping(connection, books.store.schema, "T", source)
        return answer

    monkeypatch.setattr(books.lines._starts, "hydrate", changing)
    with pytest.raises(Refusal):
        await changing(names[-1], ref, storage_lines.Upto())
    for _ in range(2):
        answer = await books.lines.hydrate(names[-1], ref, storage_lines.Upto())
        assert answer.found.result is not None
        assert answer.found.result.state == b'{"n":30000}'
    assert answer.found.kept is not None
    # Anew after each change: of all that came before the stream, and of the stream itself.
    assert seen[:6] == [*names, *names[:2], names[0]]
