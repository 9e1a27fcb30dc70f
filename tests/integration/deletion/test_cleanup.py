"""Goal: where events say something else than before, what was made of them is made anew, and only
that.

Method: the rows of projections are falsified in their tables; who cleans up for some events has to
make those rows true again, and no others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.integration.deletion.conftest import Names
from tests.integration.deletion.test_projections import document, fill, ready, rows
from tests.support.database import connected

import eventfold
from eventfold import Client, Event
from eventfold_server.domain.folding import FoldRegistry
from eventfold_server.domain.kept import KeptStates
from eventfold_server.domain.privacy.cleanup import Cleaned, CleanedStream, Cleanup
from eventfold_server.domain.projections.admin import ProjectionAdmin
from eventfold_server.domain.projections.documents import Documents
from eventfold_server.domain.projections.retry import Retries
from eventfold_server.storage.catalogue import Catalogue
from eventfold_server.storage.cleanup import CleanupStorage
from eventfold_server.storage.database import Database
from eventfold_server.storage.folds import FoldStorage
from eventfold_server.storage.kept import KeptStorage
from eventfold_server.storage.projections import ProjectionStorage
from eventfold_server.storage.projector import Projector
from eventfold_server.storage.refolding import RefoldStorage


@pytest.fixture
async def cleanup(deletion_url: str, deletion_server: object) -> AsyncIterator[Cleanup]:
    """Beside a server of the same store."""
    database = Database(deletion_url, "deletion")
    await database.open()
    catalogue = Catalogue(database)
    await catalogue.load()
    projections, refolds = ProjectionStorage(database), RefoldStorage(database)
    documents = Documents(FoldRegistry(FoldStorage(database)))
    projector = Projector(database, catalogue)
    yield Cleanup(
        CleanupStorage(database),
        KeptStates(KeptStorage(database, catalogue)),
        projections,
        refolds,
        documents,
        ProjectionAdmin(projections, documents),
        Retries(projections, refolds, projector, documents),
    )
    await projector.close()
    await database.close()


def stream_of(url: str, name: str) -> tuple[CleanedStream, list[int]]:
    """A stream and the positions of its events."""
    with connected(url) as connection:
        row = connection.execute(
            "SELECT stream_no, name, root FROM deletion.streams WHERE name = %s", (name,)
        ).fetchone()
        assert row is not None
        found = connection.execute(
            "SELECT position FROM deletion.events WHERE stream_no = %s ORDER BY 1", (row[0],)
        ).fetchall()
    return CleanedStream(*row), [position for (position,) in found]


def falsify(url: str, store: Client, name: str) -> None:
    """Rows that say what no event did."""
    with connected(url) as connection:
        row = connection.execute(
            "SELECT p.active FROM deletion.projections p WHERE p.name = %s", (name,)
        ).fetchone()
        assert row is not None
        connection.execute(
            f"""UPDATE deletion.projection_{row[0]} SET names = '["false"]',"""
            """ _state = '{"names": ["false"], "events": 1}'"""
        )
    assert {str(value) for value in rows(store, name).values()} == {"['false']"}


@pytest.mark.parametrize("key", ["meta.stream", "meta.root"])
async def test_rows_of_a_stream_are_made_anew(
    key: str, cleanup: Cleanup, store: Client, names: Names, deletion_url: str
) -> None:
    stream, name = fill(store, names), f"a{names.drawn}"
    store.put_projection(document(name, names("User"), key))
    ready(store, name)
    falsify(deletion_url, store, name)
    touched, positions = stream_of(deletion_url, stream)
    assert [one.projection for one in await cleanup.touched([touched], positions)] == [name]
    done = await cleanup.run([touched], positions, mark=1 << 62, by="test", so_far=Cleaned())
    assert (done.waiting, done.rows) == ([], 1)
    found = rows(store, name)
    assert found.pop(stream) == ["n1"] * 3
    assert {str(value) for value in found.values()} == {"['false']"}
    assert list(store.list_parked_keys(name)) == []
    # The log goes on from there.
    store.append(stream, [Event("Named", {"name": "later"})], expected_version=3)
    ready(store, name)
    assert rows(store, name)[stream] == ["n1"] * 3 + ["later"]


async def test_other_keys_wait_for_a_generation(
    cleanup: Cleanup, store: Client, names: Names, deletion_url: str
) -> None:
    stream, name = fill(store, names), f"b{names.drawn}"
    store.put_projection(document(name, names("User"), "string(event.town)"))
    ready(store, name)
    falsify(deletion_url, store, name)
    touched, positions = stream_of(deletion_url, stream)
    with connected(deletion_url) as connection:
        row = connection.execute("SELECT nextval('deletion.projection_numbers')").fetchone()
    assert row is not None
    cleaned = await cleanup.run([touched], positions, mark=row[0], by="test", so_far=Cleaned())
    assert cleaned.waiting == [name]
    while cleaned.waiting:
        ready(store, name)
        cleaned = await cleanup.run([touched], positions, mark=row[0], by="test", so_far=cleaned)
    assert rows(store, name) == {
        "0": ["n2"] * 3 + ["n4"] * 3, "1": ["n1"] * 3 + ["n3"] * 3
    }  # fmt: skip
    assert [one.generation for one in store.get_projection(name).generations] == [2]


async def test_one_whose_document_does_not_compile_is_dropped(
    cleanup: Cleanup, store: Client, names: Names, deletion_url: str
) -> None:
    """Not before whoever cleans up could note which one."""
    stream, name = fill(store, names), f"c{names.drawn}"
    store.put_projection(document(name, names("User"), "string(event.town)"))
    ready(store, name)
    touched, positions = stream_of(deletion_url, stream)
    with connected(deletion_url) as connection:
        connection.execute(
            "UPDATE deletion.projection_generations g SET source = 'none' FROM"
            " deletion.projections p WHERE p.projection_no = g.projection_no AND p.name = %s",
            (name,),
        )
        row = connection.execute("SELECT nextval('deletion.projection_numbers')").fetchone()
    assert row is not None
    [found] = await cleanup.touched([touched], positions)
    assert (found.projection, found.rebuilt) == (name, True)
    cleaned = await cleanup.run([touched], positions, mark=row[0], by="test", so_far=Cleaned())
    assert (cleaned.waiting, cleaned.dropped) == ([name], [name])
    with connected(deletion_url) as connection:
        [count] = connection.execute(
            "SELECT count(*) FROM deletion.projections WHERE name = %s", (name,)
        ).fetchone() or [0]
    assert count == 1
    cleaned = await cleanup.run([touched], positions, mark=row[0], by="test", so_far=cleaned)
    assert (cleaned.waiting, cleaned.dropped) == ([], [name])
    with pytest.raises(eventfold.ProjectionNotFound):
        store.get_projection(name)
