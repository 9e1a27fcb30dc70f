"""The same tables by plain Python: asyncpg reads the log page by page, orjson decodes, functions
fold, and a statement for each page writes the rows that it changed, with the position, in one
transaction.

What a careful program does without the server: states stay in memory, so that no row is read back.
It checks nothing, hides nothing, and could not be stopped and go on.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import data

# Events of the log in one page, which is one transaction.
PAGE_EVENTS = 10_000

_LOG = """
SELECT s.name, e.type, e.version, e.position, e.data
  FROM eventfold.events e JOIN eventfold.streams s USING (stream_no)
 WHERE e.category = 'account' AND e.position > $1 AND e.position <= $2 AND e.type = ANY ($3)
 ORDER BY e.category, e.position
"""
_HEAD = "SELECT position FROM eventfold.counter"
_TABLES = """
DROP SCHEMA IF EXISTS bare CASCADE;
CREATE SCHEMA bare;
CREATE TABLE bare.progress (position bigint NOT NULL);
INSERT INTO bare.progress VALUES (0);
CREATE TABLE bare.accounts (
    key text COLLATE "C" PRIMARY KEY, _state bytea NOT NULL, version bigint NOT NULL,
    position bigint NOT NULL, balance bigint, deposits integer, open boolean
) WITH (fillfactor = 70);
CREATE INDEX ON bare.accounts (balance);
CREATE TABLE bare.amounts (
    key text COLLATE "C" PRIMARY KEY, _state bytea NOT NULL, version bigint NOT NULL,
    position bigint NOT NULL, bookings bigint, total bigint
) WITH (fillfactor = 70);
"""
_ACCOUNTS = """
INSERT INTO bare.accounts AS t (key, _state, version, position, balance, deposits, open)
SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[],
                     $5::bigint[], $6::integer[], $7::boolean[])
ON CONFLICT (key) DO UPDATE
   SET _state = excluded._state, version = excluded.version, position = excluded.position,
       balance = excluded.balance, deposits = excluded.deposits, open = excluded.open
"""
_AMOUNTS = """
INSERT INTO bare.amounts AS t (key, _state, version, position, bookings, total)
SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bigint[],
                     $5::bigint[], $6::bigint[])
ON CONFLICT (key) DO UPDATE
   SET _state = excluded._state, version = excluded.version, position = excluded.position,
       bookings = excluded.bookings, total = excluded.total
"""

State = dict[str, Any]


def _fold_account(states: dict[str, State], stream: str, kind: str, event: State) -> str:
    state = states.get(stream)
    if state is None:
        state = states[stream] = data.initial_state()
    data.apply(state, kind, event)
    return stream


def _fold_amount(states: dict[str, State], _stream: str, _kind: str, event: State) -> str:
    key = str(event["amount"])
    state = states.get(key)
    if state is None:
        state = states[key] = {"bookings": 0, "total": 0}
    state["bookings"] += 1
    state["total"] += event["amount"]
    return key


Fold = Callable[[dict[str, State], str, str, State], str]
# By document: fold, statement, fields of the state that are columns, types of events.
_DOCUMENTS: dict[str, tuple[Fold, str, tuple[str, ...], list[str]]] = {
    "accounts": (
        _fold_account,
        _ACCOUNTS,
        ("balance", "deposits", "open"),
        list(data.FOLD["handlers"]),
    ),
    "amounts": (
        _fold_amount,
        _AMOUNTS,
        ("bookings", "total"),
        ["MoneyDeposited", "MoneyWithdrawn"],
    ),
}


async def rebuild(connection: Any, document: str) -> dict[str, Any]:
    """The table of the document from the first event to the head."""
    fold, statement, columns, types = _DOCUMENTS[document]
    await connection.execute(_TABLES)
    states: dict[str, State] = {}
    begin, cpu = time.perf_counter(), time.process_time()
    head = await connection.fetchval(_HEAD)
    events = position = 0
    while position < head:
        upper = min(position + PAGE_EVENTS, head)
        rows = await connection.fetch(_LOG, position, upper, types)
        changed: dict[str, tuple[int, int]] = {}
        for stream, kind, version, at, text in rows:
            changed[fold(states, stream, kind, orjson.loads(text))] = (version, at)
        async with connection.transaction():
            await connection.execute("UPDATE bare.progress SET position = $1", upper)
            if changed:
                after = [states[key] for key in changed]
                await connection.execute(
                    statement,
                    list(changed),
                    [orjson.dumps(state) for state in after],
                    [version for version, _ in changed.values()],
                    [at for _, at in changed.values()],
                    *([state[column] for state in after] for column in columns),
                )
        events, position = events + len(rows), upper
    elapsed, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return {"events": events, "elapsed_s": elapsed, "cpu_s": cpu}


async def serve(url: str) -> None:
    """A line of JSON for each rebuild, and one back."""
    connection = await asyncpg.connect(url, server_settings={"enable_bitmapscan": "off"})
    for line in sys.stdin:
        try:
            found = await rebuild(connection, json.loads(line)["document"])
        except Exception as fault:  # noqa: BLE001 - the harness says which cell failed
            found = {"error": f"{type(fault).__name__}: {fault}"}
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
