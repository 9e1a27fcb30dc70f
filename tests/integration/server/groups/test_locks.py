"""Goal: what changes a group locks its rows in one order.

Method: one of the two is done by hand up to where it has half of its locks; the other must wait.
"""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from tests.support.groups import Groups
from tests.support.servers import RunningServer

from eventfold.v1 import consumer_groups_pb2 as pb


async def test_a_group_is_deleted_while_a_session_ends(
    groups: Groups, category: str, database_url: str, server: RunningServer
) -> None:
    """Both lock sessions and lanes: in one order, or PostgreSQL ends one of them as a deadlock."""
    await groups.append(f"{category}-1", 2)
    await groups.create(category, pb.GroupSource(categories=[category]))
    one = await groups.consume(category, credits_=2)
    await one.take(2)
    assert one.started is not None
    schema = server.options["schema"]
    with psycopg.connect(database_url) as connection, psycopg.connect(database_url) as other:
        # As a session does that ends, up to where it has its own row and not the lanes yet.
        connection.execute(
            f"UPDATE {schema}.group_sessions SET ended = true WHERE session = %s",
            (one.started.session,),
        )
        request = pb.DeleteGroupRequest(name=category)
        deleting = asyncio.ensure_future(groups.stub.DeleteGroup(request))
        async with asyncio.timeout(60):
            while not _waits_for(connection, other):  # noqa: ASYNC110 - another backend waits
                await asyncio.sleep(0.02)
        await asyncio.to_thread(connection.execute, f"SELECT FROM {schema}.group_lanes FOR UPDATE")
    await deleting


def _waits_for(connection: psycopg.Connection[Any], other: psycopg.Connection[Any]) -> bool:
    """Whether somebody waits for a lock of the connection."""
    row = other.execute(
        "SELECT EXISTS (SELECT FROM pg_locks"
        " WHERE NOT granted AND %s = ANY (pg_blocking_pids(pid)))",
        (connection.info.backend_pid,),
    ).fetchone()
    assert row is not None
    return bool(row[0])
