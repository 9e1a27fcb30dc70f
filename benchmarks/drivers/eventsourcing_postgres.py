"""Drives the library eventsourcing on PostgreSQL, as its tutorial does: an application, an
aggregate, its repository. Callers are threads of one application with a pool of connections.

It is filled through its recorder, which takes events of many aggregates in one call.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import protocol
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.utils import get_topic
from protocol import data

# The library sends a call as a pipeline, and now and then waits for ever when it is larger than
# what a socket buffers; this is less.
LOAD_EVENTS = 200
# Rows of the log in one query of a catch-up.
LOG_PAGE = 1_000
_NAMESPACE = uuid.UUID("6f1d2c11-5d0b-4a57-9e0b-8f6c1f0e6a6f")


class Account(Aggregate):
    """The same account; its first event is the one that the library writes for every aggregate."""

    @event("AccountOpened")
    def __init__(
        self, account: str, booking: int, currency: str, amount: int, text: str, reference: str
    ) -> None:
        self.owner = account
        self.balance = 0
        self.deposits = 0

    @staticmethod
    def create_id(*_: Any, **__: Any) -> uuid.UUID:
        """Ids in the order of time, instead of the library's random ones."""
        return data.uuid7()

    @event("MoneyDeposited")
    def deposit(
        self, account: str, booking: int, currency: str, amount: int, text: str, reference: str
    ) -> None:
        """Money comes in."""
        self.balance += amount
        self.deposits += 1

    @event("MoneyWithdrawn")
    def withdraw(
        self, account: str, booking: int, currency: str, amount: int, text: str, reference: str
    ) -> None:
        """Money goes out."""
        self.balance -= amount


def _id(stream: str) -> uuid.UUID:
    """The id of the aggregate that was loaded under this name."""
    return uuid.uuid5(_NAMESPACE, stream)


def _change(account: Account, number: int) -> None:
    if data.event_type(number) == "MoneyDeposited":
        account.deposit(**data.event_data(number))
    else:
        account.withdraw(**data.event_data(number))


def application(url: str) -> Application:
    """An application on that database, with a pool of up to 32 connections."""
    parts = urlsplit(url)
    host = parse_qs(parts.query).get("host", [parts.hostname])[0]
    return Application(
        env={
            "PERSISTENCE_MODULE": "eventsourcing.postgres",
            "POSTGRES_DBNAME": parts.path.lstrip("/"),
            "POSTGRES_HOST": host,
            "POSTGRES_PORT": str(parts.port or 5432),
            "POSTGRES_USER": unquote(parts.username or ""),
            "POSTGRES_PASSWORD": unquote(parts.password or ""),
            "POSTGRES_POOL_SIZE": "8",
            "POSTGRES_MAX_OVERFLOW": "24",
            "POSTGRES_MAX_WAITING": "200",
            "POSTGRES_CONNECT_TIMEOUT": "60",
        }
    )


class Caller:
    """One caller; all share the application."""

    def __init__(self, app: Application) -> None:
        self._app = app

    def begin(self, stream: str) -> None:
        self._account: Account | None = None

    def append(self, count: int) -> int:
        for _ in range(count):
            if self._account is None:
                self._account = Account(**data.event_data(0))
            else:
                _change(self._account, self._account.version)
        self._app.save(self._account)
        return count

    def read(self, stream: str) -> int:
        return sum(1 for _ in self._app.events.get(_id(stream)))

    def hydrate(self, stream: str) -> Any:
        return self._app.repository.get(_id(stream)).balance

    def catch_up(self) -> int:
        count, start = 0, 1
        while found := self._app.recorder.select_notifications(start, LOG_PAGE):
            for notification in found:
                self._app.mapper.to_domain_event(notification)
            count += len(found)
            start = found[-1].id + 1
        return count


def _domain_event(run: data.Run, number: int) -> Any:
    """The event as the aggregate itself would trigger it."""
    values = {
        "originator_id": _id(run.stream),
        "originator_version": number + 1,
        "timestamp": Account.Event.create_timestamp(),
        **data.event_data(number),
    }
    match data.event_type(number):
        case "AccountOpened":
            return Account.AccountOpened(originator_topic=get_topic(Account), **values)
        case "MoneyDeposited":
            return Account.MoneyDeposited(**values)
    return Account.MoneyWithdrawn(**values)


def _load(app: Application, runs: Iterable[data.Run]) -> None:
    for chunk in protocol.chunks(runs, LOAD_EVENTS):
        app.recorder.insert_events(
            [
                app.mapper.to_stored_event(_domain_event(run, number))
                for run in chunk
                for number in range(run.first, run.first + run.count)
            ]
        )


def main() -> None:
    """URL of the database as the only argument."""
    app = application(sys.argv[1])
    protocol.serve(protocol.Callers(lambda: Caller(app)).run, lambda runs: _load(app, runs))


if __name__ == "__main__":
    main()
