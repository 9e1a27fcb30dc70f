"""Goal: the example of a ledger and a budget planner sums and names what was never copied, tags
nothing that was never booked, and a deleted author is nobody.

Method: its program on a real server; a payload that is deleted past the server, as no call deletes
yet.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import budget
import ledger
import planner
import pytest
from tests.support.rows import delete_payloads
from tests.support.servers import RunningServer, start_server

import eventfold


@pytest.fixture
def server(shared_tmp_path: Path) -> Iterator[RunningServer]:
    with start_server(shared_tmp_path) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[eventfold.Client]:
    with eventfold.Client(server.address, timeout=60) as opened:
        yield opened


def delete(server: RunningServer, event: eventfold.Event) -> None:
    assert server.data_dir is not None
    url = (server.data_dir / "postgres.url").read_text(encoding="utf-8").strip()
    delete_payloads(url, "eventfold", [event.id])


def test_the_program(client: eventfold.Client) -> None:
    said: list[str] = []
    budget.run(client, said.append)
    assert said == [
        "Purposes: housing 954.45",
        "Purposes: food 54.35, housing 900.10",
        "  Market hall, 54.35, for food, created by Bo",
        "  Newspaper, 12.00, for nothing, created by Bo",
        "  Rent for May, 900.10, for housing, created by Ada",
        "The market hall is named by TransactionTagged, TransactionUntagged, TransactionTagged",
        "A tag for what was never booked is refused: missing",
    ]


def test_nothing_is_copied(client: eventfold.Client) -> None:
    """Each fact stands in one event."""
    budget.run(client, lambda _: None)
    texts = [event.data_json.decode() for event in client.read_all()]
    for fact in ("900.10", "Rent for May", '"housing"', '"food"', '"Ada"', '"Bo"'):
        of_one = {"housing": 2}.get(fact.strip('"'), 1)
        assert sum(fact in text for text in texts) == of_one, fact


def test_a_purpose_that_nothing_has_any_more_is_gone(client: eventfold.Client) -> None:
    budget.prepare(client)
    booked = ledger.book(client, ledger.register(client, "Ada"), Decimal("5.00"), "Coffee")
    assert planner.tag(client, booked.id, "food") > 0
    assert planner.tag(client, booked.id, "food") == 0
    position = planner.tag(client, booked.id, None)
    assert budget.purposes(client, position) == {}


def test_what_was_never_booked_is_not_tagged(client: eventfold.Client) -> None:
    """The store refuses it, whoever appends it; before the demand it was stored."""
    nowhere = str(uuid.uuid4())
    planner.tag(client, nowhere, "food")
    planner.demand(client)
    before = [event.id for event in client.read_all()]
    never_booked = str(uuid.uuid4())
    with pytest.raises(eventfold.ReferenceNotFound) as refused:
        planner.tag(client, never_booked, "food")
    assert (refused.value.event_id, refused.value.problem) == (never_booked, "missing")
    by_hand = eventfold.Event("TransactionTagged", refs=eventfold.References([nowhere]))
    with pytest.raises(eventfold.ReferenceNotFound):
        client.append("plan-by-hand", [by_hand], expected_version=0)
    assert [event.id for event in client.read_all()] == before

    # What was said before the demand can be taken back, and what was booked is tagged.
    assert planner.tag(client, nowhere, None) > 0
    booked = ledger.book(client, ledger.register(client, "Ada"), Decimal("5.00"), "Coffee")
    assert planner.tag(client, booked.id, "food") > 0


def test_a_deleted_author_is_anonymous(server: RunningServer, client: eventfold.Client) -> None:
    """Rows from before keep the name, a verification tells, and a rebuild forgets it."""
    budget.prepare(client)
    authors = [ledger.register(client, name) for name in ("Ada", "Bo")]
    for author in authors:
        booked = ledger.book(client, author, Decimal("1.00"), f"Paper of {author.id}")
    # Their rows are made before the author goes: the query waits until the projection is there.
    seen = budget.transactions(client, client.get_event(booked.id).position)
    assert len(seen) == 2
    delete(server, authors[0])
    last = ledger.book(client, authors[0], Decimal("2.00"), "Zinc")
    position = client.get_event(last.id).position

    def creators() -> list[str]:
        lines = budget.transactions(client, position)
        return sorted(line.rpartition("created by ")[2] for line in lines)

    assert creators() == ["Ada", "Anonymous", "Bo"]
    assert client.verify_projection("transactions").keys_differing == 1
    rebuilt = client.rebuild_projection("transactions")
    client.wait_projection("transactions", generation=rebuilt.generation)
    assert creators() == ["Anonymous", "Anonymous", "Bo"]
    assert client.verify_projection("transactions").keys_differing == 0
    resolved = client.get_event(last.id, resolve=True).resolved
    assert resolved is not None
    assert resolved.events[authors[0].id].deleted
