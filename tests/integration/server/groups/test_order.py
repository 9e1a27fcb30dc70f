"""Goal: every event of a stream is handled, after the one before it, however many consumers and
servers there are, and whatever becomes of the consumers.

Method: consumers on two server processes that share a store, while others append; a history checks
each delivery as it comes, and that progress is never ahead of acknowledgements. Some runs cut
consumers all the time, or have them fail.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from tests.integration.server.conftest import Starter
from tests.support.group_history import GroupHistory, Worker, append_all, running, until_done
from tests.support.groups import Groups, groups_of, settings

STREAMS = 40
EACH = 25


@pytest.fixture
async def store(start: Starter) -> AsyncIterator[tuple[Groups, list[str]]]:
    """A client, and the addresses of two servers on one store."""
    first = start()
    second = start(schema=first.options["schema"])
    async with groups_of(first.address) as groups:
        yield groups, [first.address, second.address]


@pytest.mark.parametrize("consumers", [1, 4, 16])
async def test_order_holds_with_any_number_of_consumers(
    store: tuple[Groups, list[str]], consumers: int
) -> None:
    groups, addresses = store
    history = GroupHistory()
    streams = [f"account-{n}" for n in range(STREAMS)]
    await append_all(groups, streams[: STREAMS // 2], EACH, 0)
    await groups.create("g")
    workers = [
        Worker(history, lambda n=n: [addresses[n % 2]], "g", f"c{n}", random.Random(n))
        for n in range(consumers)
    ]
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    async with running(tasks):
        await append_all(groups, streams[STREAMS // 2 :], EACH, 1)
        await until_done(groups, history, STREAMS * EACH, tasks)
    assert history.next_version == dict.fromkeys(streams, EACH)
    # Nobody was cut, so nothing came twice.
    assert (history.handled, history.again, history.lost) == (STREAMS * EACH, 0, 0)


@pytest.mark.parametrize("fails", [0.0, 0.05], ids=["cut", "cut and failing"])
async def test_order_holds_while_consumers_are_cut(
    store: tuple[Groups, list[str]], fails: float
) -> None:
    groups, addresses = store
    history = GroupHistory()
    streams = [f"account-{n}" for n in range(STREAMS)]
    await groups.create("g", settings=settings(attempts_max=1_000))
    chance = random.Random(7)

    def worker(n: int) -> asyncio.Task[None]:
        one = Worker(
            history, lambda: addresses, "g", f"c{n}", random.Random(n), fails=fails, slow_s=0.02
        )
        return asyncio.create_task(one.run())

    tasks = [worker(n) for n in range(8)]
    cuts, enough = 0, asyncio.Event()

    async def cut() -> None:
        nonlocal cuts
        while True:
            await asyncio.sleep(0.1)
            victim = chance.randrange(len(tasks))
            if tasks[victim].done():
                return
            tasks[victim].cancel()
            await asyncio.wait([tasks[victim]])
            cuts += 1
            tasks[victim] = worker(100 + cuts)
            if cuts >= 10:
                enough.set()

    cutting = asyncio.create_task(cut())
    async with running(tasks):
        await append_all(groups, streams, EACH, 1)
        # A fast machine has appended all before as many were cut.
        async with asyncio.timeout(60):
            await enough.wait()
        cutting.cancel()
        await until_done(groups, history, STREAMS * EACH, tasks)
    assert cuts >= 10
    assert history.again, "nothing came again, so the run says nothing"
    assert history.next_version == dict.fromkeys(streams, EACH)
