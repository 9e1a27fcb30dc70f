"""Goal: an application moves by its environment alone, and can do what it could.

Method: one application in memory and on a store, by the same calls; with states that are encrypted
and compressed; followed by another application that dies at any step; and a process that knows only
its environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from eventsourcing.cipher import AESCipher
from eventsourcing.persistence import InfrastructureFactory, IntegrityError
from eventsourcing.system import NewSingleThreadedRunner, SingleThreadedRunner, System
from eventsourcing.utils import Environment
from tests.integration.eventsourcing_adapter.bank import Account, Bank, Counter, Counters, use

import eventfold
from eventfold.integrations.eventsourcing import EventfoldProcessRecorder, Factory

ROOT = Path(__file__).resolve().parents[3]
MODULE = "eventfold.integrations.eventsourcing"


@pytest.fixture
def env(eventfold_target: str) -> dict[str, str]:
    return {"PERSISTENCE_MODULE": MODULE, "EVENTFOLD_SERVER": eventfold_target}


def test_an_application_moves_by_its_environment(env: dict[str, str]) -> None:
    with Bank() as in_memory, Bank(env=env) as moved:
        assert use(moved) == use(in_memory)
    with eventfold.Client(env["EVENTFOLD_SERVER"]) as store:
        categories = {event.stream.partition("-")[0] for event in store.read_all()}
        assert categories == {"Bank", "Bank_snapshots"}
        deposited = next(event for event in store.read_all() if event.type.endswith("Deposited"))
        assert deposited.type == f"{Account.__module__}:Account.Deposited"
        assert deposited.data["amount"] == {"_type_": "decimal_str", "_data_": "0.25"}


def test_encrypted_and_compressed(env: dict[str, str]) -> None:
    env |= {"CIPHER_KEY": AESCipher.create_key(32), "COMPRESSOR_TOPIC": "zlib"}
    with Bank(env=env) as moved, Bank() as in_memory:
        assert use(moved) == use(in_memory)
    with eventfold.Client(env["EVENTFOLD_SERVER"]) as store:
        assert {tuple(event.data) for event in store.read_all()} == {("bytes",)}


def test_two_that_save_one_aggregate(env: dict[str, str]) -> None:
    with Bank(env=env) as bank, Bank(env=env) as other:
        account_id = bank.open("Bob")
        mine, theirs = bank.repository.get(account_id), other.repository.get(account_id)
        for account in (mine, theirs):
            assert isinstance(account, Account)
            account.deposit(1)  # type: ignore[arg-type]
        bank.save(mine)
        with pytest.raises(IntegrityError):
            other.save(theirs)
        other.deposit(account_id, "1")
        assert bank.balance(account_id) == 2


def test_a_system_in_one_store(env: dict[str, str]) -> None:
    """Each application has a category of its own, after its name."""
    with SingleThreadedRunner(System(pipes=[[Bank, Counters]]), env=env) as runner:
        bank, counters = runner.get(Bank), runner.get(Counters)
        account_id = bank.open("Bob")
        for _ in range(5):
            bank.deposit(account_id, "1")
        counter = counters.repository.get(Counter.create_id())
        assert isinstance(counter, Counter)
        assert counter.count == 5
        newest = bank.recorder.max_notification_id()
        assert isinstance(counters.recorder, EventfoldProcessRecorder)
        assert counters.recorder.max_tracking_id("Bank") == newest


def test_a_follower_gets_each_event_of_aggregates_saved_among_each_other(
    env: dict[str, str],
) -> None:
    """Also of a runner that hands on what `save` returns: out of order it would be lost."""
    system: System = System(pipes=[[Bank, Counters]])
    with NewSingleThreadedRunner[UUID](system, env=env) as runner:
        bank, counters = runner.get(Bank), runner.get(Counters)
        first, second = Account("Ann"), Account("Bob")
        for account in (first, second, first, second):
            account.deposit(Decimal(1))
        events = [*first.collect_events(), *second.collect_events()]
        recordings = bank.save(*(events[place] for place in (0, 3, 1, 4, 2, 5)))
        assert [one.notification.id for one in recordings] == [1, 2, 3, 4, 5, 6]
        counter = counters.repository.get(Counter.create_id())
        assert isinstance(counter, Counter)
        assert counter.count == 4


def test_a_process_that_knows_only_its_environment(env: dict[str, str]) -> None:
    program = (
        "from tests.integration.eventsourcing_adapter.bank import Bank, use\n"
        "print(use(Bank())['balances'], Bank().factory.category)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | env | {"BANK_EVENTFOLD_CATEGORY": "savings", "EVENTFOLD_TIMEOUT": "20"},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "['9.50', '20.50'] savings"


def test_the_sdk_does_without_the_library() -> None:
    program = (
        "import sys, eventfold, eventfold.cli, eventfold.integrations\n"
        "assert not [name for name in sys.modules if name.startswith('eventsourcing')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({}, "BANK_EVENTFOLD_SERVER, EVENTFOLD_SERVER"),
        ({"EVENTFOLD_SERVER": "a:1", "EVENTFOLD_TIMEOUT": "soon"}, "EVENTFOLD_TIMEOUT"),
        ({"EVENTFOLD_SERVER": "a:1", "EVENTFOLD_TIMEOUT": "-1"}, "EVENTFOLD_TIMEOUT"),
        ({"EVENTFOLD_SERVER": "a:1", "EVENTFOLD_TIMEOUT": "60.1"}, "at most 60"),
        ({"EVENTFOLD_SERVER": "a:1", "EVENTFOLD_TIMEOUT": "nan"}, "at most 60"),
        ({"EVENTFOLD_SERVER": "store.example"}, "host:port"),
        ({"EVENTFOLD_SERVER": "a:0"}, "host:port"),
        ({"EVENTFOLD_SERVER": "a:65536"}, "host:port"),
        ({"EVENTFOLD_SERVER": "http://a:1"}, "host:port"),
        ({"EVENTFOLD_SERVER": "::1"}, "host:port"),
        ({"EVENTFOLD_SERVER": "a:1", "EVENTFOLD_TLS": "perhaps"}, "EVENTFOLD_TLS"),
        ({"EVENTFOLD_SERVER": "a:1", "EVENTFOLD_TLS_CA": "/nowhere/ca.pem"}, "ca.pem"),
        ({"EVENTFOLD_SERVER": "a:1", "EVENTFOLD_CATEGORY": "a-b"}, "category"),
        ({"EVENTFOLD_SERVER": "a:1", "EVENTFOLD_CATEGORY": "a" * 55}, "54"),
    ],
    ids=str,
)
def test_variables_that_mean_nothing(variables: dict[str, str], problem: str) -> None:
    with pytest.raises(OSError, match=problem):
        Factory(Environment("Bank", variables))


def test_variables_reach_the_client() -> None:
    variables = {
        "PERSISTENCE_MODULE": MODULE,
        "BANK_EVENTFOLD_SERVER": "store.example:4141",
        "EVENTFOLD_SERVER": "other.example:4141",
        "EVENTFOLD_TOKEN": "secret",
        "EVENTFOLD_TLS": "y",
        "EVENTFOLD_TIMEOUT": "7",
    }
    factory = InfrastructureFactory.construct(Environment("Bank", variables))
    assert isinstance(factory, Factory)
    with factory.client as client:
        settings = client._connection.settings
        assert (settings.target, settings.token) == ("store.example:4141", "secret")
        assert (settings.tls, settings.timeout) == (True, 7)
    assert factory.category == "Bank"
    assert Factory(variables).category == "aggregate"


def test_names_of_applications_are_categories_of_their_own() -> None:
    variables = {"EVENTFOLD_SERVER": "[::1]:4141"}
    names = ["my_bank", "my.bank", "my-bank", "a" * 54, "a" * 55, "a" * 56, "Zoë", "Zo_"]
    found = [Factory(Environment(name, variables)).category for name in names]
    assert found[:2] == ["my_bank", "my_bank_a7328bb8"]
    assert found[3] == "a" * 54
    assert found[4].startswith("a" * 45 + "_")
    assert len(set(found)) == len(names)
    assert max(len(category) for category in found) == 54


def test_ids_of_one_aggregate_in_two_applications(env: dict[str, str]) -> None:
    """They do not meet, unless they are told the same category."""
    account = UUID(int=7)

    class Own(Account):
        @staticmethod
        def create_id() -> UUID:
            return account

    with Bank(env=env) as one, Bank(env=env | {"BANK_EVENTFOLD_CATEGORY": "other"}) as two:
        one.save(Own("Bob"))
        assert account not in two.repository
