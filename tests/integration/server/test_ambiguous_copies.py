"""Goal: whoever names a source and a target of one transform is refused until he says what he wants
of copies, and those who were there before the transform are told and listed, not broken.

Method: rows of transforms written by SQL; the rule in plain Python at random; and every kind of
reader, in this process and through a server.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import psycopg
import pytest
from tests.support.copied import CATEGORIES, Copied, Reads, copied, positions, projector
from tests.support.projections import BY_OWNER, FOLD, Log, store_events
from tests.support.servers import RunningServer
from typer.testing import CliRunner

from eventfold import AsyncClient, CopiesAmbiguous
from eventfold import Copies as Said
from eventfold.cli.app import app
from eventfold_server.domain.copies import Copies
from eventfold_server.domain.copy_readers import CopyReaders, is_ambiguous
from eventfold_server.domain.folding import FoldRegistry
from eventfold_server.domain.groups.admin import GroupAdmin
from eventfold_server.domain.groups.consuming import Consumers
from eventfold_server.domain.log_start import LogStart
from eventfold_server.domain.projections.admin import BY_HAND, ProjectionAdmin
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.domain.projections.trial import Asked, ProjectionTrials
from eventfold_server.domain.read import LogRead
from eventfold_server.domain.requests import Caller
from eventfold_server.domain.subscription import Wanted
from eventfold_server.errors import Refusal
from eventfold_server.storage.folds import FoldStorage
from eventfold_server.storage.projections import ProjectionStorage
from eventfold_server.storage.refolding import RefoldStorage

CALLER = Caller("tester", frozenset())
FACTS = {"transform_no": "7", "source": "Account", "target": "Card"}


async def test_the_rule_at_random(database_url: str) -> None:
    rng = random.Random(3)
    names = ["A", "B", "C", "D", "E"]
    found = 0
    async with copied(database_url, 1) as at:
        for _ in range(60):
            at.forget_transforms()
            transforms = {}
            for number in range(rng.randint(0, 3)):
                sources = ["*"] if rng.random() < 0.2 else rng.sample(names, rng.randint(1, 2))
                targets = rng.sample(names, rng.randint(1, 2))
                transforms[number] = sources, targets
                at.transform(number, sources, targets)
            for _ in range(5):
                wanted = rng.sample(names, rng.randint(1, 3))
                ambiguous = [
                    number for number, of in transforms.items() if is_ambiguous(wanted, *of)
                ]
                one = await at.storage.ambiguous_transform(wanted)
                assert (one is None) == (not ambiguous), (transforms, wanted)
                if one is None:
                    continue
                found += 1
                sources, targets = transforms[one.transform_no]
                assert one.transform_no == ambiguous[0]
                assert one.source in wanted
                assert one.target in wanted
                assert one.target in targets
                assert one.source in sources or (sources == ["*"] and one.source not in targets)
    assert 30 < found < 270


@dataclass
class Readers:
    """Readers of every kind that name categories and say nothing of copies."""

    at: Copied
    groups: GroupAdmin
    consumers: Consumers
    projections: ProjectionAdmin
    trials: ProjectionTrials
    listing: CopyReaders

    async def read(self, said: Copies, categories: list[str] | None) -> None:
        asked = LogRead(False, None, None, None, 0, categories, None, None, False, said)
        async with aclosing(self.at.reader.all(asked)) as frames:
            async for _ in frames:
                pass

    async def subscribe(self, said: Copies, categories: list[str] | None) -> None:
        wanted = Wanted(None, categories, None, None, None, False, said)
        async with aclosing(self.at.subscriptions.frames(wanted, LogStart())) as frames:
            await anext(frames)

    async def group(
        self, said: Copies, categories: list[str] | None, name: str | None = None
    ) -> None:
        spec = Reads(categories=categories, copies=said).group(condition=None, ordered=True)
        name = name or f"g {said} {categories}"
        await self.groups.create(CALLER, name, spec, LogStart())

    async def projection(self, said: Copies, categories: list[str] | None) -> None:
        source = document("p", said, categories)
        await self.projections.put(CALLER, source, BY_HAND, in_place=False)

    async def trial(self, said: Copies, categories: list[str] | None) -> None:
        source = document("p", said, categories)
        await self.trials.attempt(Asked(source, 0, 100, "", (), 10), CALLER)


def document(name: str, said: Copies, categories: list[str] | None) -> str:
    source = {} if categories is None else {"categories": categories}
    if said is not Copies.UNSPECIFIED:
        source["copies"] = said.name.lower()  # type: ignore[assignment]
    return f"projection: {name}\nsource: {source}\n" + FOLD


@pytest.fixture
async def readers(database_url: str) -> AsyncIterator[Readers]:
    async with copied(database_url, 5) as at, projector(at) as projecting:
        await at.grow(50)
        groups = GroupAdmin(at.groups, at.storage)
        documents = Documents(FoldRegistry(FoldStorage(at.database)))
        storage = ProjectionStorage(at.database)
        consumers = Consumers(at.groups, groups, at.tail)
        yield Readers(
            at,
            groups,
            consumers,
            ProjectionAdmin(storage, documents),
            ProjectionTrials(storage, RefoldStorage(at.database), projecting, documents),
            CopyReaders(at.groups, storage, documents),
        )
        await consumers.close()


@pytest.mark.parametrize("kind", ["read", "subscribe", "group", "projection", "trial"])
async def test_who_names_both_has_to_say(readers: Readers, kind: str) -> None:
    readers.at.transform(7, ["Account"], ["Card"])
    readers.at.transform(8, ["Other"], ["Other"])
    call: Callable[..., object] = getattr(readers, kind)
    for categories in (None, ["Account"], ["Card"]):
        await call(Copies.UNSPECIFIED, categories)  # type: ignore[misc]
    for categories, facts in (
        (["Account", "Card"], FACTS),
        (["Other"], {"transform_no": "8", "source": "Other", "target": "Other"}),
    ):
        with pytest.raises(Refusal) as caught:
            await call(Copies.UNSPECIFIED, categories)  # type: ignore[misc]
        assert caught.value.reason == "COPIES_AMBIGUOUS"
        assert {name: str(value) for name, value in caught.value.facts.items()} == facts
        for said in (Copies.INCLUDE, Copies.EXCLUDE):
            await call(said, categories)  # type: ignore[misc]


async def test_who_was_there_before(readers: Readers) -> None:
    """A subscription and a session go on; the next ones, and the next build, are refused."""
    both = ["Account", "Card"]
    for said, name in ((Copies.UNSPECIFIED, "silent"), (Copies.EXCLUDE, "says")):
        await readers.group(said, both, name)
        await readers.projections.put(CALLER, document(name, said, both), BY_HAND, in_place=False)
    session, room = await readers.consumers.begin(CALLER, "silent", "")
    asked = Reads(categories=both)
    wanted = Wanted(None, both, None, None, None, with_system=False)
    async with aclosing(readers.at.subscriptions.frames(wanted, LogStart())) as frames:
        got = positions((await anext(frames)).events)
        readers.at.transform(7, ["Account"], ["Card"])
        await readers.at.grow(30)
        session.grant(1000)
        async with asyncio.timeout(60):
            while len(got) < len(asked.of(readers.at.events)):
                got += positions((await anext(frames)).events)
            given: list[int] = []
            # One lane gives some at a time; that something comes is enough.
            while not given:
                await session.ready.wait()
                session.ready.clear()
                while session.deliveries:
                    given += session.deliveries.popleft().positions
    assert got == asked.of(readers.at.events)
    assert set(given) <= set(got)
    assert session.ended is None
    await readers.consumers.end(session, room, failed=False)

    for call in (
        readers.consumers.begin(CALLER, "silent", ""),
        readers.projections.rebuild(CALLER, "silent", BY_HAND),
        readers.group(Copies.UNSPECIFIED, both, "silent"),
    ):
        with pytest.raises(Refusal) as caught:
            await call
        assert caught.value.reason == "COPIES_AMBIGUOUS"
    session, room = await readers.consumers.begin(CALLER, "says", "")
    await readers.consumers.end(session, room, failed=False)
    await readers.projections.rebuild(CALLER, "says", BY_HAND)


async def test_those_that_a_transform_concerns_are_listed(readers: Readers) -> None:
    for said in Copies:
        for categories in (None, ["Account"], ["Account", "Card"], ["Card", "Other"]):
            await readers.group(said, categories)
            name = "_".join(["p", said.name, *(categories or ())]).lower()
            await readers.projections.put(
                CALLER, document(name, said, categories), BY_HAND, in_place=False
            )
    found = await readers.listing.made_ambiguous(["Account"], ["Card", "New"])
    assert [(one.name, one.generation, one.state) for one in found] == [
        (f"g {Copies.UNSPECIFIED} ['Account', 'Card']", 0, 0),
        ("p_unspecified_account_card", 1, 1),
    ]
    assert len(await readers.listing.made_ambiguous(["*"], ["Card"])) == 4
    assert await readers.listing.made_ambiguous(["Account"], ["New"]) == []
    assert await readers.listing.made_ambiguous(["New"], ["Card"]) == []
    # One that it reads from and writes to.
    assert len(await readers.listing.made_ambiguous(["Account"], ["Account"])) == 4

    over = await readers.listing.over(["Card"], ["New"])
    assert len(over) == 2 * 2 * len(Copies)
    assert all("Card" in (one.categories or ()) for one in over)
    assert await readers.listing.over(["New"], ["Card"]) == []
    # Of the log: those that name anything but its targets.
    over = await readers.listing.over(["*"], ["Card"])
    assert len(over) == 3 * 2 * len(Copies)


async def test_through_a_server(server: RunningServer, database_url: str) -> None:
    """The SDK and the command line say it, and are told."""
    schema = str(server.options["schema"])
    log = Log(random.Random(9), copies=0.4)
    log.grow(80)
    await asyncio.to_thread(store_events, database_url, schema, log.events)
    everything: list[Said | None] = [None, "include", "exclude"]
    async with AsyncClient(server.address) as store:
        for said in everything:
            copies = Copies.UNSPECIFIED if said is None else Copies[said.upper()]
            for categories in ([], ["Account", "Card"]):
                wanted = Reads(categories=categories or None, copies=copies).of(log.events)
                reader = store.read_all(categories=categories, copies=said)
                assert [event.position async for event in reader] == wanted
                assert reader.end.position == 80
                async with store.subscribe(categories=categories, copies=said) as events:
                    followed = []
                    async for frame in events.frames():
                        followed += [event.position for event in frame]
                        if frame.position == 80:
                            break
                assert followed == wanted
                name = f"{said} {categories}"
                group = await store.create_group(name, categories=categories, copies=said)
                assert group.copies == said
                again = await store.create_group(name, categories=categories, copies=said)
                assert not again.created

        with psycopg.connect(database_url) as connection:
            connection.execute(
                f"INSERT INTO {schema}.transform_categories VALUES"
                " (7, 'Account', true, false), (7, 'Card', false, true)"
            )
        both = ["Account", "Card"]
        with pytest.raises(CopiesAmbiguous) as caught:
            _ = [event async for event in store.read_all(categories=both)]
        assert (caught.value.transform_no, caught.value.source, caught.value.target) == (
            7,
            "Account",
            "Card",
        )
        with pytest.raises(CopiesAmbiguous):
            _ = [event async for event in store.subscribe(categories=both, give_up_after=0)]
        with pytest.raises(CopiesAmbiguous):
            await store.create_group("later", categories=both)
        with pytest.raises(CopiesAmbiguous):
            await store.put_projection(BY_OWNER)
        await store.put_projection(BY_OWNER.replace("Card]", "Card], copies: exclude"))
        with pytest.raises(ValueError, match="'include', 'exclude' or None"):
            store.read_all(copies="some")  # type: ignore[arg-type]

    command = ["read", "--all", "--json", "--server", server.address]
    for more, copies in (
        ([], Copies.UNSPECIFIED),
        (["--copies", "include"], Copies.INCLUDE),
        (["--copies", "exclude", "--category", "Card"], Copies.EXCLUDE),
    ):
        shown = CliRunner().invoke(app, [*command, *more])
        assert shown.exit_code == 0, shown.output
        reads = Reads(categories=["Card"] if len(more) > 2 else None, copies=copies)
        assert len(shown.stdout.splitlines()) == len(reads.of(log.events))


def test_the_categories_of_the_log() -> None:
    """What these tests name is what the random logs have."""
    log = Log(random.Random(1))
    log.grow(300)
    assert {event.stream.partition("-")[0] for event in log.events} == set(CATEGORIES)
