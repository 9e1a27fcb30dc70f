"""Goal: kept states are invisible: whatever happens to them, a state is what folding from the
first event gives, byte for byte.

Method: two servers on one store; appends, and at the same time states at the head and at
versions, of one stream and of many, histories and explanations from all of them, and new revisions
of the fold; at random moments the table of kept states is emptied, given rows of a log that never
was, and dropped. Every answer is held against the same fold given inline, of which nothing is ever
kept.
"""

from __future__ import annotations

import random
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from tests.support.kept import KeptStore, append, box, compare

STREAMS = [f"box-{number}" for number in range(5)]

# What a restore, an operator or a fault can do to the table at any moment.
DISTURBANCES = [
    "DELETE FROM {s}.kept_states",
    "TRUNCATE {s}.kept_states",
    "UPDATE {s}.kept_states SET event_id = gen_random_uuid(), state = '{\"sum\": -1}'",
    "UPDATE {s}.kept_states SET version = version + 1000, state = '{\"sum\": -2}'",
    "UPDATE {s}.kept_states SET state = 'no JSON', event_id = gen_random_uuid()",
]


@pytest.mark.parametrize("seed", range(3))
def test_states_are_the_same_with_and_without(store: KeptStore, seed: int) -> None:
    choose = random.Random(seed)
    step = 1
    store.clients[0].put_fold(box(step))
    for stream in STREAMS:
        append(store.clients[0], stream, choose)
    went_on = 0
    # In the last rounds there is no table.
    rounds, without = 40, 8
    with ThreadPoolExecutor(6) as pool:
        for number in range(rounds):
            if number == rounds - without:
                store.sql("DROP TABLE {s}.kept_states")
            if choose.random() < 0.1:
                step += 1
                choose.choice(store.clients).put_fold(box(step, every=choose.randrange(1, 4)))
            work: list[Future[object]] = [
                pool.submit(append, choose.choice(store.clients), stream, new(choose))
                for stream in STREAMS
            ]
            if number < rounds - without and choose.random() < 0.3:
                work.append(pool.submit(store.sql, choose.choice(DISTURBANCES)))
            checks = [
                pool.submit(compare, choose.choice(store.clients), STREAMS, step, new(choose))
                for _ in range(8)
            ]
            for one in work:
                one.result()
            went_on += sum(check.result() for check in checks)
    assert went_on > 50, "kept states were hardly used"


def new(choose: random.Random) -> random.Random:
    """Choices of its own for a thread."""
    return random.Random(choose.random())
