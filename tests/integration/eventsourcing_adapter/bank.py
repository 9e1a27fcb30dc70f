"""An application of the library, which knows nothing of where its events are recorded."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from eventsourcing.application import Application, ProcessingEvent
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.domain import Aggregate, AggregateEvent, event
from eventsourcing.system import ProcessApplication


class Account(Aggregate):
    """An account."""

    @event("Opened")
    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.balance = Decimal(0)

    @event("Deposited")
    def deposit(self, amount: Decimal) -> None:
        self.balance += amount


class Bank(Application[UUID]):
    """Accounts, with a snapshot after every third event."""

    snapshotting_intervals: ClassVar[Mapping[type[Any], int]] = {Account: 3}

    def open(self, owner: str) -> UUID:
        account = Account(owner)
        self.save(account)
        return account.id

    def deposit(self, account_id: UUID, amount: str) -> None:
        account: Account = self.repository.get(account_id)
        account.deposit(Decimal(amount))
        self.save(account)

    def transfer(self, source_id: UUID, target_id: UUID, amount: str) -> None:
        """Two aggregates in one transaction."""
        source: Account = self.repository.get(source_id)
        target: Account = self.repository.get(target_id)
        source.deposit(-Decimal(amount))
        target.deposit(Decimal(amount))
        self.save(source, target)

    def balance(self, account_id: UUID, version: int | None = None) -> Decimal:
        account: Account = self.repository.get(account_id, version=version)
        return account.balance


class Counter(Aggregate):
    """How many deposits there were."""

    @event("Started")
    def __init__(self) -> None:
        self.count = 0

    @event("Counted")
    def increment(self) -> None:
        self.count += 1

    @classmethod
    def create_id(cls) -> UUID:
        return UUID(int=1)


class Counters(ProcessApplication[UUID]):
    """Follows the bank."""

    @singledispatchmethod
    def policy(self, domain_event: Any, processing_event: ProcessingEvent[UUID]) -> None:
        """Other events count for nothing."""

    @policy.register(Account.Deposited)  # type: ignore[attr-defined]
    def _(self, _: AggregateEvent, processing_event: ProcessingEvent[UUID]) -> None:
        counter_id = Counter.create_id()
        found = counter_id in self.repository
        counter: Counter = self.repository.get(counter_id) if found else Counter()
        counter.increment()
        processing_event.collect_events(counter)


def use(bank: Bank) -> dict[str, Any]:
    """Does a bit of everything; returns what came of it."""
    ids = [bank.open("Zoë"), bank.open("Bob")]
    for n in range(8):
        bank.deposit(ids[n % 2], f"{n}.25")
    bank.transfer(ids[0], ids[1], "3.50")
    log = bank.notification_log
    section = log["1,10"]
    assert bank.snapshots is not None
    return {
        "balances": [str(bank.balance(one)) for one in ids],
        "before": [str(bank.balance(ids[0], version)) for version in (1, 2, 4, 5)],
        "snapshots": [
            [one.originator_version for one in bank.snapshots.get(account_id)] for account_id in ids
        ],
        "log": [ids.index(UUID(str(one.originator_id))) for one in log.select(1, 10)],
        "versions": [one.originator_version for one in section.items],
    }
