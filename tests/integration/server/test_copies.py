"""Goal: copies count once: whoever reads the whole log does not get them, whoever names a stream or
categories does, whoever says `include` or `exclude` gets what that says, and history and what is
live follow one rule. Tokens, ends, limits, cursors and progress go over what is left out.

Method: random logs of which a third are copies, written by SQL; random readers of all kinds in this
process; and the rule in plain Python (`Reads`), which every reader is held to.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest
from tests.support.copied import (
    CATEGORIES,
    Copied,
    Reads,
    copied,
    positions,
    projector,
    random_reads,
)
from tests.support.projections import (
    BY_OWNER,
    BY_ROOT,
    FOLD,
    TYPES,
    Model,
    contents,
    make_generation,
    values,
)

from eventfold import _core
from eventfold_server.domain.copies import Copies
from eventfold_server.domain.groups.condition import compiled, passing
from eventfold_server.domain.log_start import LogStart
from eventfold_server.domain.read import LogRead, ReadEnd
from eventfold_server.domain.subscription import Kind, Wanted
from eventfold_server.storage.projection_rows import ProjectionRows

SEEDS = range(5)
BY_LOG = "projection: everything\n" + FOLD


async def read(
    at: Copied,
    reads: Reads,
    *,
    backwards: bool = False,
    first: int | None = None,
    last: int | None = None,
    token: bytes | None = None,
    limit: int = 0,
) -> tuple[list[int], ReadEnd]:
    """What one `ReadAll` gives."""
    asked = LogRead(
        backwards=backwards,
        from_position=first,
        resume_token=token,
        to_position=last,
        limit=limit,
        categories=reads.categories,
        types=reads.types,
        tags=None,
        with_system=False,
        copies=reads.copies,
    )
    got: list[int] = []
    end = None
    async with aclosing(at.reader.all(asked)) as frames:
        async for frame in frames:
            assert end is None
            got += positions(frame.events)
            end = frame.end
    assert end is not None
    return got, end


@pytest.mark.parametrize("seed", SEEDS)
async def test_reads_of_the_log(database_url: str, seed: int) -> None:
    rng = random.Random(seed)
    async with copied(database_url, seed) as at:
        await at.grow(400)
        head = len(at.events)
        for _ in range(25):
            reads = random_reads(rng, streams=False)
            lower, upper = sorted(rng.sample(range(1, head + 1), 2))
            within = reads.of(at.events[lower - 1 : upper])

            got, end = await read(at, reads, first=lower, last=upper)
            assert (got, end.position, end.end_reached) == (within, upper, True), reads
            got, end = await read(at, reads, first=upper, last=lower, backwards=True)
            assert (got, end.position, end.end_reached) == (within[::-1], lower, True), reads

            limit = rng.randint(1, 20)
            got, end = await read(at, reads, first=upper, backwards=True, limit=limit)
            whole = reads.of(at.events[:upper])[::-1]
            assert got == whole[:limit], reads
            # Where copies lie behind the last event, nobody has looked at them yet.
            assert end.end_reached == (len(whole) < limit or end.position == 1)


@pytest.mark.parametrize("seed", SEEDS)
async def test_reads_go_on_from_their_tokens(database_url: str, seed: int) -> None:
    """The log grows meanwhile; an end is an end although copies lie there."""
    rng = random.Random(seed)
    async with copied(database_url, seed) as at:
        for _ in range(8):
            await at.grow(rng.randint(1, 40))
            reads = random_reads(rng, streams=False)
            wanted: list[int] = []
            token = None
            while True:
                limit = rng.randint(0, 9)
                got, end = await read(at, reads, token=token, limit=limit)
                wanted += got
                token = end.resume_token
                assert not limit or len(got) <= limit
                if end.end_reached:
                    assert end.position == len(at.events)
                    break
                assert len(got) == limit
                assert got[-1] == end.position
                if rng.random() < 0.3:
                    await at.grow(rng.randint(1, 5))
            assert wanted == reads.of(at.events), reads


async def follow(
    at: Copied, reads: Reads, wanted: Wanted, end: asyncio.Future[int], rng: random.Random
) -> tuple[list[int], set[Kind]]:
    """What a subscriber gets who pauses, and begins anew from its last token, at random."""
    got: list[int] = []
    kinds: set[Kind] = set()
    start, position = LogStart(), 0
    while not (end.done() and position >= end.result()):
        async with aclosing(at.subscriptions.frames(wanted, start)) as frames:
            async for frame in frames:
                assert frame.position >= position
                got += positions(frame.events)
                kinds.add(frame.kind)
                position, start = frame.position, LogStart(resume_token=frame.resume_token)
                if end.done() and position >= end.result():
                    break
                if rng.random() < 0.2:
                    await asyncio.sleep(rng.choice((0.001, 0.02, 0.1)))
                if rng.random() < 0.05:
                    break
    return got, kinds


@pytest.mark.parametrize(("seed", "tail_bytes"), [(1, 1), (2, 20_000), (3, 10**7), (4, 10**7)])
async def test_subscriptions(database_url: str, seed: int, tail_bytes: int) -> None:
    """Many share one tail, each with its own choice."""
    rng = random.Random(seed)
    async with copied(database_url, seed, tail_bytes=tail_bytes) as at:
        await at.grow(60)
        asked = [Reads(copies=said) for said in Copies]
        asked += [random_reads(rng) for _ in range(9)]
        conditions = [rng.choice((None, None, "meta.version % 3 != 1")) for _ in asked]
        end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        followers = []
        for number, (reads, condition) in enumerate(zip(asked, conditions, strict=True)):
            wanted = Wanted(
                reads.stream,
                reads.categories,
                reads.types,
                None,
                condition,
                # With and without a page of the tail as a whole.
                with_system=number % 2 == 0,
                copies=reads.copies,
            )
            own = random.Random(f"{seed} {number}")
            followers.append(asyncio.create_task(follow(at, reads, wanted, end, own)))
        for _ in range(40):
            await at.grow(rng.randint(1, 12))
            await asyncio.sleep(rng.choice((0, 0.005, 0.03)))
        # The last events may be copies, which are to be passed too.
        end.set_result(len(at.events) + 5)
        await at.grow(5)
        async with asyncio.timeout(60):
            results = await asyncio.gather(*followers)
        for (got, kinds), reads, condition in zip(results, asked, conditions, strict=True):
            events = [one for one in at.events if condition is None or one.version % 3 != 1]
            assert got == reads.of(events), (reads, condition)
            assert Kind.CAUGHT_UP in kinds


@pytest.mark.parametrize("seed", SEEDS)
async def test_groups(database_url: str, seed: int) -> None:
    rng = random.Random(seed)
    async with copied(database_url, seed) as at:
        await at.grow(120)
        readers: list[tuple[int, Reads, str | None, list[int]]] = []
        for number in range(8):
            reads = random_reads(rng)
            condition = rng.choice((None, "meta.version % 3 != 1"))
            spec = reads.group(condition=condition, ordered=rng.random() < 0.5)
            assert await at.groups.create(f"g{number}", spec, "tester", 0)
            row = await at.groups.get(f"g{number}")
            assert row is not None
            assert row.spec == spec
            readers.append((row.group_no, reads, condition, []))
        for _ in range(6):
            for group_no, _, condition, got in readers:
                head = len(at.events)
                cursor = -1
                while cursor < head:
                    events = await at.groups.next_events(group_no)
                    assert events is not None
                    assert cursor < events.up_to <= events.head == head
                    events = await passing(at.groups, events, compiled(condition))
                    assert await at.groups.take_in(group_no, events)
                    got += events.positions
                    cursor = events.up_to
            await at.grow(rng.randint(1, 60))
        for _, reads, condition, got in readers:
            events = [one for one in at.events if condition is None or one.version % 3 != 1]
            assert got == [one for one in reads.of(events) if one <= head], (reads, condition)


@pytest.mark.parametrize("said", list(Copies))
@pytest.mark.parametrize("source", [BY_ROOT, BY_OWNER, BY_LOG])
async def test_projections(database_url: str, source: str, said: Copies) -> None:
    """Their tables, what a verification reads by keys and in one pass, a trial, and what queries
    wait for.
    """
    categories = {BY_ROOT: ["Account"], BY_OWNER: ["Account", "Card"]}.get(source)
    if said is not Copies.UNSPECIFIED:
        copies = f"copies: {said.name.lower()}"
        if categories is None:
            source = source.replace("\n", f"\nsource: {{{copies}}}\n", 1)
        else:
            source = source.replace("}\n", f", {copies}}}\n", 1)
    reads = Reads(categories=categories, copies=said)
    document = _core.Projection(source)
    rng = random.Random(f"{source} {said}")
    async with copied(database_url, rng.randrange(10**6)) as at, projector(at) as projecting:
        await at.grow(500)
        head = len(at.events)
        model = Model(source, categories or CATEGORIES)
        model.feed([event for event in at.events if reads.wants(event)])
        number, lease = make_generation(at.database, at.url, source)
        worker = projecting.worker(
            number, lease, document, window=rng.choice([7, 60, 20_000]), quiet_s=0
        )
        for up_to in (200, head):
            step = await worker.step(up_to)
            while not step.done:
                step = await worker.step(up_to)
            assert step.position == up_to
        found = contents(at.database, at.url, number)
        assert values(found.rows) == model.rows()
        folded = [one for one in reads.of(at.events) if at.events[one - 1].type in TYPES]
        assert (found.position, found.events) == (head, len(folded))

        verification = await projecting.verification(number, document, 10_000)
        compared = await verification.go_on()
        while compared is not None and not compared.done:
            compared = await verification.go_on()
        assert compared is not None
        assert (compared.keys_differing, compared.position) == (0, head)

        trial = await projecting.trial(
            document, after=0, up_to=head, events_max=10_000, personal=True
        )
        tried = await trial.go_on()
        while not tried.done:
            tried = await trial.go_on()
        assert tried.events == len(folded)

        rows = ProjectionRows(at.database)
        for _ in range(40):
            after = rng.randrange(head)
            up_to = after + rng.randint(1, 4)
            waits = any(after < one <= up_to for one in folded)
            assert await rows.source_has_events(document, after, up_to) == waits
