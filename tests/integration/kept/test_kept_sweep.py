"""Goal: kept states go when no fold asks for them, all of them, by one server at a time; and folds
of servers that knew no kept digests get theirs.

Method: rows of folds that are not there, then another server, which sweeps at its start; and the
function by which servers of before registered folds.
"""

from __future__ import annotations

import json

import psycopg
from tests.support.kept import KeptStore, box, put

from eventfold import Fold
from eventfold_server.domain.folding import CompiledFolds
from eventfold_server.limits import FOLD_SEMANTICS, KEPT_SWEEP_ROWS_MAX
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.database import Database
from eventfold_server.storage.kept import KeptStorage

ALONE = "kept_without_servers"

# Of the fold with the given kept digest, or of seven others.
FILL = """
INSERT INTO {s}.kept_states (stream_no, fold_digest, mapping_digest, semantics, version, event_id,
                             alive, state)
SELECT n, coalesce(%s, md5((n %% 7)::text) || md5('')), '', %s, 1, gen_random_uuid(), true, '{}'
  FROM generate_series(1, %s) n
"""
COUNT = "SELECT count(*) FROM {s}.kept_states"


def fill(store: KeptStore, digest: str | None, semantics: int, rows: int) -> None:
    store.sql(FILL, digest, semantics, rows)


def test_a_sweep_drops_all_that_no_fold_asks_for_and_nothing_else(store: KeptStore) -> None:
    store.clients[0].put_fold(box(1))
    [[digest]] = store.sql("SELECT kept_digest FROM {s}.folds WHERE revision = 1")
    fill(store, digest, FOLD_SEMANTICS, 50)
    fill(store, digest, FOLD_SEMANTICS - 1, KEPT_SWEEP_ROWS_MAX + 500)
    fill(store, None, FOLD_SEMANTICS, 7 * KEPT_SWEEP_ROWS_MAX + 1)
    client = store.start()
    store.wait_sql(COUNT, 50)
    wanted = [(digest, FOLD_SEMANTICS)]
    assert store.sql("SELECT DISTINCT fold_digest, semantics FROM {s}.kept_states") == wanted
    # The newest revision asks for none.
    client.put_fold({**box(1), "keep": "off"})
    store.start()
    store.wait_sql(COUNT, 0)


async def test_one_server_sweeps_at_a_time(store: KeptStore) -> None:
    # A schema of its own: the servers of the other one sweep it when they have started.
    database = Database(store.url, ALONE)
    await database.open()
    storage = KeptStorage(database, Catalogue(database))
    rows = KEPT_SWEEP_ROWS_MAX + 10
    try:
        with psycopg.connect(store.url, autocommit=True) as mine:
            mine.execute(FILL.replace("{s}", ALONE), (None, FOLD_SEMANTICS, rows))
            with psycopg.connect(store.url) as other:
                other.execute(
                    "SELECT pg_advisory_xact_lock(hashtextextended('eventfold.sweep:' || %s, 0))",
                    (ALONE,),
                )
                assert await storage.sweep(CompiledFolds().get) == 0
            assert mine.execute(COUNT.replace("{s}", ALONE)).fetchall() == [(rows,)]
            dropped = [await storage.sweep(CompiledFolds().get) for _ in range(3)]
            assert dropped == [KEPT_SWEEP_ROWS_MAX, 10, 0]
    finally:
        await database.close()


def test_folds_of_servers_of_before(store: KeptStore) -> None:
    source = json.dumps(box(1))
    digest = Fold.load(source).digest
    before = "SELECT revision, created FROM {s}.put_fold_v1('box', %s, %s, 'somebody')"
    assert store.sql(before, digest, source) == [(1, True)]
    # The same text is the same fold.
    assert store.clients[0].put_fold(source).revision == 1
    known = "SELECT kept_digest IS NOT NULL, keep_every FROM {s}.folds WHERE revision = {n}"
    assert store.sql(known.replace("{n}", "1")) == [(True, 2)]
    # An old server knows digests only; a new one completes its folds when it starts.
    other = json.dumps(box(2))
    assert store.sql(before, Fold.load(other).digest, other) == [(2, True)]
    assert store.sql(known.replace("{n}", "2")) == [(False, None)]
    client = store.clients[1]
    client.append("box-1", [put() for _ in range(4)], expected_version=0)
    assert client.hydrate("box", "1", fold="box").state["sum"] == 8
    store.start()
    store.wait_sql(known.replace("{n}", "2"), True, 2)
    assert client.put_fold("# With a comment.\n" + other).revision == 2
