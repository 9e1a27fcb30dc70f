"""What is written to `$audit`, as readers of the log find it."""

from __future__ import annotations

import json
import uuid

import pytest

from eventfold.v1 import appends_pb2
from eventfold_server.domain.requests import Caller
from eventfold_server.errors import Refusal
from eventfold_server.storage.database import Database
from eventfold_server.store import Store

CALLER = Caller("ann", frozenset({"admin"}))


async def events(database: Database, schema: str) -> list[tuple[str, str, bytes, int]]:
    async with database.reading() as connection:
        rows = await connection.fetch(
            f"SELECT e.type, e.writer, e.data, e.flags FROM {schema}.events e"
            f" JOIN {schema}.streams s USING (stream_no) WHERE s.name = '$audit'"
            " ORDER BY e.version"
        )
    return [tuple(row) for row in rows]


async def test_an_act_is_an_event_of_who_did_it(
    store: Store, database: Database, schema: str
) -> None:
    subject = uuid.uuid4()
    facts = {"subject_hash": b"\1\2", "subject_id": subject, "version": 2, "category": None}
    answer = appends_pb2.AppendResponse.FromString(
        await store.audit.write(CALLER, "$KeyRotated", facts)
    )
    assert (answer.first_version, list(answer.positions)) == (1, [1])
    [(type_, writer, data, flags)] = await events(database, schema)
    assert (type_, writer) == ("$KeyRotated", "ann")
    assert json.loads(data) == {
        "subject_hash": "0102",
        "subject_id": str(subject),
        "version": 2,
        "category": None,
    }
    # No mark but that the form was checked.
    assert flags == 1


async def test_an_act_that_is_tried_again_is_written_once(
    store: Store, database: Database, schema: str
) -> None:
    act = uuid.uuid4()
    first = await store.audit.write(CALLER, "$KeyRotated", {"version": 1}, event_id=act)
    again = await store.audit.write(CALLER, "$KeyRotated", {"version": 1}, event_id=act)
    assert appends_pb2.AppendResponse.FromString(again).duplicate
    assert not appends_pb2.AppendResponse.FromString(first).duplicate
    assert len(await events(database, schema)) == 1
    with pytest.raises(Refusal, match="EVENT_ID_REUSED"):
        await store.audit.write(CALLER, "$KeyRotated", {"version": 2}, event_id=act)
