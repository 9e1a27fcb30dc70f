"""Goal: the example of users finds exactly the adults, on any day of the year.

Method: its program on a real server; users who come of age today, yesterday and tomorrow.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import users

import eventfold
from eventfold._codegen import Bundle, of_folder, to_python


@pytest.fixture
def ready(store: eventfold.Client) -> eventfold.Client:
    """A store with schemas, the fold and the projection."""
    users.describe(store)
    store.put_fold(users.FOLD)
    store.put_projection(users.PROJECTION)
    store.wait_projection(users.ADULTS)
    return store


def test_the_program(store: eventfold.Client) -> None:
    said: list[str] = []
    users.run(store, said.append)
    assert said[0].startswith("Adults: Ada")
    assert "Cy" not in said[0]
    assert "Di" not in said[0]
    assert said[1] == "Bo is older than was said: Ada, Bo"
    assert said[2] == "Minors, of whom it is known: 1"
    assert said[3].startswith("By SQL on the database: SELECT * FROM ")


def test_the_day_decides(ready: eventfold.Client) -> None:
    def born(days: int) -> dt.date:
        """Eighteen years ago, and so many days later; in a year without a 29 February."""
        today = dt.datetime.now(dt.UTC).date()
        if (today.month, today.day) == (2, 29):
            pytest.skip("whoever was born on 29 February is another question")
        return today.replace(year=today.year - 18) + dt.timedelta(days)

    for name, days in (("yesterday", -1), ("today", 0), ("tomorrow", 1)):
        _, position = users.register(ready, name, born(days))
    assert users.adults(ready, position) == ["yesterday", "today"]


def test_the_classes_are_those_of_the_schemas() -> None:
    folder = Path(users.__file__).parent
    fresh = to_python(Bundle(of_folder(users.SCHEMAS)), "dataclass")
    assert (folder / "user_events.py").read_text(encoding="utf-8") == fresh


def test_what_does_not_fit_is_refused(ready: eventfold.Client) -> None:
    nameless = eventfold.Event("UserRegistered", {"name": "", "country": "de", "bornOn": "May"})
    with pytest.raises(eventfold.SchemaViolation) as caught:
        ready.append("user-1", [nameless], expected_version=0)
    assert {one.pointer for one in caught.value.violations} == {"/name", "/country", "/bornOn"}


def test_who_is_deleted_is_gone(ready: eventfold.Client) -> None:
    user, _ = users.register(ready, "Eve", dt.date(1990, 1, 1))
    deleted = ready.append(f"user-{user}", [eventfold.Event("UserDeleted")], expected_version=1)
    assert users.adults(ready, deleted.positions[-1]) == []
