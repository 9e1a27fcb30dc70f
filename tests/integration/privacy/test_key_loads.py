"""Goal: a page of events of many subjects takes few statements on the key store; what cannot be
opened for the want of keys is told, hides no event without personal values, and is read when the
keys are back.

Method: a server writes; a second one without a cache, in this process, reads, and its look-ups of
keys are counted or fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from tests.integration.privacy.guarded import SEES, beside, client, guarded
from tests.support.servers import RunningServer

from eventfold import Event
from eventfold_server.errors import Refusal
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.keys.store import KeyStore
from eventfold_server.storage.log import LogStorage
from eventfold_server.storage.views import OPEN

SUBJECTS = 1000
# Rows that are looked at ahead for each look-up, and what the first pages may take more.
AHEAD = 256


@pytest.fixture(scope="module")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with guarded(tmp_path_factory.mktemp("loads"), postgres, "loads") as started:
        yield started


class LookUps:
    """Look-ups of keys in the key store: how many there were, and whether they fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.subjects: list[int] = []
        self.fail = False
        found = KeyStore.of_subjects

        async def of_subjects(store: KeyStore, subjects: Sequence[UUID]) -> Any:
            self.subjects.append(len(subjects))
            if self.fail:
                raise Refusal("KEYS_UNAVAILABLE", "no", problem="key_store")
            return await found(store, subjects)

        monkeypatch.setattr(KeyStore, "of_subjects", of_subjects)


def write(server: RunningServer, kind: str, events: list[Event]) -> None:
    subject = {"subject": {"pointer": "/who", "category": kind}}
    with client(server, SEES) as store:
        store.put_privacy_rules({"privacy": kind, "personal": {"/a": subject}})
        store.append(f"{kind}-log", events, expected_version=0)


async def test_a_thousand_subjects_take_few_look_ups(
    server: RunningServer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(server, kind, [Event(kind, {"a": f"x{n}", "who": n}) for n in range(SUBJECTS)])
    look_ups = LookUps(monkeypatch)
    async with beside(server) as (database, keys):
        log = LogStorage(database, Catalogue(database, keys.keyring, keys.follow))
        assert await read(log, kind) == SUBJECTS
        assert sum(look_ups.subjects) == SUBJECTS, "each is looked for once"
        assert len(look_ups.subjects) <= SUBJECTS / AHEAD + 1
        before = len(look_ups.subjects)
        assert await read(log, kind) == SUBJECTS
        assert len(look_ups.subjects) == before, "then they are in memory"


async def test_what_cannot_be_opened_is_read_when_the_keys_are_back(
    server: RunningServer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(server, kind, [Event("Plain", {"n": 1}), Event(kind, {"a": "x", "who": 1})])
    look_ups = LookUps(monkeypatch)
    look_ups.fail = True
    async with beside(server) as (database, keys):
        log = LogStorage(database, Catalogue(database, keys.keyring, keys.follow))
        with pytest.raises(Refusal) as refused:
            await read(log, kind)
        assert refused.value.reason == "KEYS_UNAVAILABLE"
        assert await read(log, kind, types=["Plain"]) == 1
        look_ups.fail = False
        assert await read(log, kind) == 2
        assert keys.keyring is not None
        keys.keyring.end_lease()
        with pytest.raises(Refusal) as refused:
            await read(log, kind)
        assert refused.value.reason == "KEYS_UNAVAILABLE"
        assert await read(log, kind, types=["Plain"]) == 1


async def read(log: LogStorage, category: str, types: list[str] | None = None) -> int:
    """The number of events of a category, read with what is personal opened."""
    rows = 0
    pages = log.log_pages(
        1,
        await log.head(),
        with_system=False,
        with_copies=True,
        categories=[category],
        types=types,
        tags=None,
        view=OPEN,
    )
    async for page in pages:
        rows += page.rows
    return rows
