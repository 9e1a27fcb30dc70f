"""Goal: a batch decides as its appends would one by one, whatever they are.

Method: two stores get the same random appends, to one stream and to several, with ids that come
again: one in batches, the other each on its own. Answers and tables must be equal at the end.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import uuid
from collections.abc import Sequence

from tests.support.writers import ANY, EXISTS, NewEvents, many, new, opened


class Random:
    """Random appends to few streams, with ids that come again."""

    def __init__(self, seed: int) -> None:
        self._choose = random.Random(seed)
        self._ids: list[str] = []

    def new(self, streams: Sequence[str]) -> NewEvents:
        choose = self._choose
        ids = []
        for _ in range(choose.choice((1, 1, 1, 2, 4))):
            if self._ids and choose.random() < 0.1:
                ids.append(choose.choice(self._ids))
            else:
                ids.append(str(uuid.UUID(int=choose.getrandbits(128))))
        if choose.random() < 0.1 and len(self._ids) > 3:
            at = choose.randrange(len(self._ids) - 2)
            ids = self._ids[at : at + 2]
        ids = list(dict.fromkeys(ids))
        self._ids += ids
        expected = choose.choice((ANY, ANY, EXISTS, 0, 1, 2, 3))
        return new(choose.choice(streams), expected, ids)

    def batch(self) -> list[tuple[list[NewEvents], list[tuple[str, int]]]]:
        """Plain appends, no two on a stream or with an id in common, then others."""
        choose = self._choose
        batch: list[tuple[list[NewEvents], list[tuple[str, int]]]] = []
        streams: set[str] = set()
        ids: set[str] = set()
        for _ in range(choose.randrange(8)):
            plain = self.new([f"s-{n}" for n in range(12)])
            if plain.stream not in streams and ids.isdisjoint(plain.ids):
                batch.append(([plain], []))
                streams.add(plain.stream)
                ids.update(plain.ids)
        for _ in range(choose.randrange(3)):
            names = choose.sample([f"s-{n}" for n in range(12)], 6)
            parts = [self.new([name]) for name in names[: choose.choice((1, 2, 3))]]
            named = list(itertools.chain.from_iterable(part.ids for part in parts))
            if len(set(named)) == len(named):
                checks = [(names[5], choose.choice((EXISTS, 0, 1, 2)))]
                batch.append((parts, checks))
        return batch


async def test_a_batch_decides_as_its_appends_one_by_one(database_url: str) -> None:
    """Two stores get the same appends: one in batches, the other each on its own."""
    seed = random.randrange(10**9)
    source = Random(seed)
    kinds: set[str] = set()
    async with (
        opened(database_url, f"test_{uuid.uuid4().hex}") as batched,
        opened(database_url, f"test_{uuid.uuid4().hex}") as single,
    ):
        for _ in range(150):
            batch = source.batch()
            together = await asyncio.gather(
                *(many(batched, parts, checks) for parts, checks in batch)
            )
            alone = [await many(single, parts, checks) for parts, checks in batch]
            assert list(together) == alone, f"seed {seed}"
            kinds.update(part for outcome in alone for part in outcome if part.isupper())
        compared = (
            "SELECT e.position, s.name, e.version, e.event_id, e.type, e.category, e.tags,"
            " e.writer, e.data, e.metadata, e.sent_digest, e.stored_digest, e.flags,"
            " e.occurred_at = e.recorded_at, s.version AS head"
            " FROM {}.events e JOIN {}.streams s USING (stream_no) ORDER BY e.position"
        )
        assert batched.rows(compared) == single.rows(compared), f"seed {seed}"
        assert len(batched.rows("SELECT FROM {}.events")) > 200
        assert len(set(batched.batches())) > 3, "no batches"
