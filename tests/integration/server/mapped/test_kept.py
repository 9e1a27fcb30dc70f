"""Goal: no kept state outlives the mappings that it was made under, in memory or in the table, and
mappings that have nothing to do with a fold cost it nothing.

Method: a registered fold that is kept, two servers of which one remembers and one has the table
alone, and the same fold by its source, which nobody keeps.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Any

import pytest
from tests.integration.server.conftest import Starter
from tests.support.mapped import Mapped, Reading

from eventfold.v1 import folds_pb2

KEPT = {
    "fold": "kept",
    "keep": {"every": 2},
    "initial": {"sum": 0, "countries": []},
    "handlers": {
        "Paid": {
            "sum": "state.sum + int(event.amount)",
            "countries": "state.countries + [event.?country.orValue('none')]",
        }
    },
}
MAPPING = 'mapping: Paid\ndefaults: {country: CH}\ncomputed: {amount: "int(event.amount) * 10"}\n'
EVENTS = [("Paid", b'{"amount": 1}'), ("Paid", b'{"amount": 2, "country": "DE"}')] * 3


def fold() -> tuple[str, str]:
    """Name and source of a fold of its own."""
    name = f"kept-{uuid.uuid4().hex[:12]}"
    return name, json.dumps({**KEPT, "fold": name})


async def hydrate(at: Reading, **ref: str) -> tuple[Any, int]:
    """State, and the version of the kept state that folding went on from."""
    request = folds_pb2.HydrateRequest(stream=at.stream, fold=folds_pb2.FoldRef(**ref))
    found = await at.folds.Hydrate(request)
    return json.loads(found.state), found.kept_version


def kept(store: Mapped, stream: str) -> dict[str, int]:
    """Versions of the states in the table, by digests of mappings."""
    return dict(
        store.sql(
            "SELECT k.mapping_digest, k.version FROM {s}.kept_states k"
            " JOIN {s}.streams s USING (stream_no) WHERE s.name = %s",
            stream,
        )
    )


async def until_kept(store: Mapped, stream: str, states: int) -> dict[str, int]:
    """The states in the table as soon as there are so many: they are written after the answer."""
    ends = time.monotonic() + 60
    while len(found := kept(store, stream)) != states:
        assert time.monotonic() < ends, found
        await asyncio.sleep(0.05)
    return found


async def test_states_of_before_are_not_used_after_a_change(store: Mapped) -> None:
    name, source = fold()
    async with store.readings() as [first, second]:
        await first.folds.PutFold(folds_pb2.PutFoldRequest(source=source))
        await first.append(EVENTS)
        plain = {"sum": 9, "countries": ["none", "DE"] * 3}
        assert await hydrate(first, name=name) == (plain, 0)
        assert await until_kept(store, first.stream, 1) == {"": 6}
        assert await hydrate(first, name=name) == (plain, 6)
        assert await hydrate(second, name=name) == (plain, 6)

        await store.put(MAPPING)
        mapped = {"sum": 90, "countries": ["CH", "DE"] * 3}
        assert await hydrate(first, source=source) == (mapped, 0)
        # The one remembers, the other finds the table.
        assert await hydrate(first, name=name) == (mapped, 0)
        states = await until_kept(store, first.stream, 2)
        assert set(states.values()) == {6}
        assert await hydrate(second, name=name) == (mapped, 6)
        many = folds_pb2.HydrateManyRequest(
            streams=[first.stream], fold=folds_pb2.FoldRef(name=name)
        )
        for at in (first, second):
            [part] = [part async for part in at.folds.HydrateMany(many)]
            found = part.streams[0].hydrated
            assert (json.loads(found.state), found.kept_version) == (mapped, 6)

        await store.drop("Paid")
        # What was kept without a mapping is true again.
        for at in (first, second):
            assert await hydrate(at, name=name) == (plain, 6)


async def test_mappings_of_other_types_leave_states_alone(store: Mapped) -> None:
    name, source = fold()
    async with store.readings() as [first, second]:
        await first.folds.PutFold(folds_pb2.PutFoldRequest(source=source))
        await first.append(EVENTS)
        state, _ = await hydrate(first, name=name)
        await until_kept(store, first.stream, 1)
        await store.put("mapping: Refunded\ndefaults: {country: CH}\n")
        for at in (first, second):
            assert await hydrate(at, name=name) == (state, 6)
        assert set(kept(store, first.stream)) == {""}


@pytest.mark.parametrize("server", [0, 1])
async def test_states_in_time_are_of_the_mapping(store: Mapped, server: int) -> None:
    """Histories begin at kept states too."""
    name, source = fold()
    async with store.readings() as readings:
        at = readings[server]
        await at.folds.PutFold(folds_pb2.PutFoldRequest(source=source))
        await at.append(EVENTS)
        await hydrate(at, name=name)
        await until_kept(store, at.stream, 1)
        await store.put(MAPPING)
        request = folds_pb2.HydrateHistoryRequest(
            stream=at.stream, fold=folds_pb2.FoldRef(name=name), from_version=7
        )
        await at.append(EVENTS[:1])
        parts = [part async for part in at.folds.HydrateHistory(request)]
        [state] = [state for part in parts for state in part.states]
        assert json.loads(state.state) == {"sum": 100, "countries": [*["CH", "DE"] * 3, "CH"]}
        await store.drop("Paid")


async def test_the_sweep_takes_states_of_other_mappings(store: Mapped, start: Starter) -> None:
    name, source = fold()
    async with store.readings() as [at, _]:
        await at.folds.PutFold(folds_pb2.PutFoldRequest(source=source))
        await at.append(EVENTS)
        await hydrate(at, name=name)
        [(plain, _)] = (await until_kept(store, at.stream, 1)).items()
        await store.put(MAPPING)
        await hydrate(at, name=name)
        states = await until_kept(store, at.stream, 2)
        # A server sweeps when it starts.
        start(schema=store.schema)
        assert await until_kept(store, at.stream, 1) == {
            digest: version for digest, version in states.items() if digest != plain
        }
        await store.drop("Paid")
