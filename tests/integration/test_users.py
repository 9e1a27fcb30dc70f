"""Goal: the example of users finds exactly the adults, on any day of the year.

Method: its program on a real server; users who come of age today, yesterday and tomorrow.
"""

from __future__ import annotations

import datetime as dt

import pytest
import users

import eventfold


@pytest.fixture
def ready(store: eventfold.Client) -> eventfold.Client:
    """A store with the fold and the projection."""
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


def test_who_is_deleted_is_gone(ready: eventfold.Client) -> None:
    user, _ = users.register(ready, "Eve", dt.date(1990, 1, 1))
    deleted = ready.append(f"user-{user}", [eventfold.Event("UserDeleted")], expected_version=1)
    assert users.adults(ready, deleted.positions[-1]) == []
