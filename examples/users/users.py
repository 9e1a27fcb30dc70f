"""Who is an adult? A projection answers, of events that never said so.

make run                                    # in another terminal
.venv/bin/python examples/users/users.py    # --server HOST:PORT for another one
"""

import argparse
import datetime as dt
import os
import uuid
from collections.abc import Callable
from pathlib import Path

from user_events import EVENT_TYPES, BirthdayCorrected, UserRegistered

import eventfold

EVENTS = eventfold.TypedEvents(EVENT_TYPES)
CATEGORY = "user"
ADULTS = "adult_users"
IS_ADULT = "born_on <= years_before(today, 18)"
# The same in SQL, for the view.
SQL_ADULT = "born_on <= current_date - interval '18 years'"
SCHEMAS = Path(__file__).with_name("schemas")
FOLD = Path(__file__).with_name("user.fold.yaml")
PROJECTION = Path(__file__).with_name("adult_users.projection.yaml")


def years_ago(years: int, days: int = 0) -> dt.date:
    """The day so many years ago, and so many days later."""
    today = dt.datetime.now(dt.UTC).date()
    # Whoever was born on 29 February comes of age on 1 March, or a day before: not here.
    day = min(today.day, 28)
    return today.replace(year=today.year - years, day=day) + dt.timedelta(days)


def describe(store: eventfold.Client) -> None:
    """Says what each event has to look like: from now on the server refuses all else."""
    for file in sorted(SCHEMAS.iterdir()):
        store.put_schema(file.name.removesuffix(".schema.json"), file, formats=True)


def register(store: eventfold.Client, name: str, born_on: dt.date | None) -> tuple[str, int]:
    """A user on a stream of its own; the id, and the position of the event."""
    user = str(uuid.uuid4())
    registered = EVENTS.event(UserRegistered(name=name, bornOn=born_on, country="DE"))
    appended = store.append(f"{CATEGORY}-{user}", [registered], expected_version=0)
    return user, appended.positions[-1]


def adults(store: eventfold.Client, position: int = 0) -> list[str]:
    """The names of all adults, the oldest first, as of a position at least."""
    rows = store.query_projection(ADULTS, IS_ADULT, order=["born_on"], at_least_position=position)
    return [row.columns["name"] for row in rows]


def run(store: eventfold.Client, say: Callable[[str], None]) -> None:
    """Registers what there is to know, some users, and asks."""
    describe(store)
    store.put_fold(FOLD)
    store.put_projection(PROJECTION)
    store.wait_projection(ADULTS)

    register(store, "Ada", years_ago(36))
    bo, _ = register(store, "Bo", years_ago(18, days=1))
    register(store, "Cy", None)
    _, position = register(store, "Di", years_ago(17))
    # A query that waits for a position sees what was appended there: nobody reads old rows.
    say(f"Adults: {', '.join(adults(store, position))}")

    corrected = EVENTS.event(BirthdayCorrected(bornOn=years_ago(19)))
    appended = store.append(f"{CATEGORY}-{bo}", [corrected], expected_version=1)
    say(f"Bo is older than was said: {', '.join(adults(store, appended.positions[-1]))}")

    count = store.count_projection(ADULTS, f"!({IS_ADULT})")
    say(f"Minors, of whom it is known: {count.rows}")
    view = store.get_projection(ADULTS).view
    say(f"By SQL on the database: SELECT * FROM {view} WHERE {SQL_ADULT}")


def main() -> None:
    """Runs on a server that is there."""
    parser = argparse.ArgumentParser(description="Asks for all adults.")
    parser.add_argument(
        "--server",
        default=os.environ.get("EVENTFOLD_SERVER", "127.0.0.1:4141"),
        help="address, default %(default)s",
    )
    options = parser.parse_args()
    with eventfold.Client(options.server) as store:
        run(store, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
