"""Goal: wherever one of two servers is killed, a transform from the one into the other goes on from
there: nothing is copied twice, and nothing is lost.

Method: servers that kill themselves at a named point while they try, send, store, compare and are
cancelled. More is appended before the job goes on, so that what it sends next is not what it sent
before. Then the log of the other store is compared with what the document says. The points of
sending and receiving are those of the code: one without a case is a failure.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.database import connected
from tests.support.servers import RunningServer, ServerDied, start_postgres, start_server
from tests.support.transform_jobs import (
    by_month,
    check_copied_into,
    fill,
    purchase,
    totals,
    until,
)

import eventfold
from eventfold import Client
from eventfold_server import failpoints

CUSTOMERS, PURCHASES = 8, 60
SETTLED = {"verified", "cancelled", "failed"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("kills")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


def copy(store: Client) -> None:
    """From the start until all is compared."""
    found = store.start_transform(by_month("S", "T"), target="other")
    until(store, found.transform_id, lambda one: one.state in SETTLED)


def cancel(store: Client) -> None:
    """From the start to the cancellation."""
    copy(store)
    [found] = list(store.list_transforms())
    store.cancel_transform(found.transform_id)


Act = Callable[[Client], None]
# By point of the server that sends: what is done, and the how many-th time is the last.
SENDING: dict[str, list[tuple[Act, int]]] = {
    "transform_started": [(copy, 1)],
    "transform_tried": [(copy, 1)],
    "transform_trial_over": [(copy, 1)],
    "transform_chunk": [(copy, 2)],
    "copies_sent": [(copy, 1), (copy, 2)],
    "transform_copied": [(copy, 1)],
    "transform_caught_up": [(copy, 1)],
    "transform_compared": [(copy, 1)],
    "transform_verified": [(copy, 1)],
    "transform_cancel_asked": [(cancel, 1)],
}
# By point of the one that receives.
RECEIVING = {"copies_received": [1, 5, 17]}


def test_every_point_has_a_case() -> None:
    points = {name for name in failpoints.NAMES if name.startswith("copies_")}
    assert points <= SENDING.keys() | RECEIVING.keys()


class Pair:
    """Two stores, and how their servers are started."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.schemas = [f"k_{uuid.uuid4().hex[:12]}" for _ in range(2)]
        self.address = "127.0.0.1:0"

    def armed(self, point: str | None) -> dict[str, str]:
        return {} if point is None else {failpoints.ENVIRONMENT: point}

    @contextlib.contextmanager
    def receiver(self, point: str | None = None) -> Iterator[RunningServer]:
        """The server that receives, always on the same address."""
        folder = self.folder / "receiver"
        folder.mkdir(exist_ok=True)
        with start_server(
            folder,
            environment=self.armed(point),
            database_url=self.url,
            schema=self.schemas[1],
            listen=self.address,
        ) as server:
            self.address = server.address
            yield server

    @contextlib.contextmanager
    def sender(self, point: str | None = None, *, knows: bool = True) -> Iterator[RunningServer]:
        """The server that sends; or one that does not know the other."""
        folder = self.folder / "sender"
        folder.mkdir(exist_ok=True)
        options: dict[str, object] = {"database_url": self.url, "schema": self.schemas[0]}
        if knows:
            targets = folder / "targets.toml"
            targets.write_text(f'[other]\naddress = "{self.address}"\n', encoding="utf-8")
            options["transform_targets"] = targets
        with start_server(folder, environment=self.armed(point), **options) as server:
            yield server

    def append_more(self) -> None:
        """More purchases, while no server runs that knows the other one."""
        with self.sender(knows=False) as server, Client(server.address) as store:
            for customer in range(CUSTOMERS):
                events = [purchase(customer, PURCHASES + number) for number in range(20)]
                store.append(f"S-{customer}", events, expected_version=eventfold.ANY)
            for found in store.list_transforms():
                # It looks at the job, and leaves it to others.
                until(
                    store,
                    found.transform_id,
                    lambda one: one.waiting == "TRANSFORM_TARGET_UNKNOWN" or one.ended_at,
                )
        self.end_leases()

    def end_leases(self) -> None:
        """So that nobody has to wait for them."""
        with connected(self.url) as connection:
            connection.execute(
                f"UPDATE {self.schemas[0]}.transform_progress SET lease_until = NULL"
            )

    def fill(self) -> None:
        with self.sender(knows=False) as server, Client(server.address) as store:
            fill(store, "S", CUSTOMERS, PURCHASES)


def act_until_dead(server: RunningServer, dying: RunningServer, act: Act) -> None:
    """Acts until a server is dead."""
    with (
        Client(server.address, timeout=2.0) as store,
        contextlib.suppress(eventfold.EventfoldError),
    ):
        if dying is server:
            act(store)
        else:
            store.start_transform(by_month("S", "T"), target="other")
    assert dying.process.wait(timeout=30) == -9, dying.log_tail()


def check_copied(source: Client, target: Client) -> None:
    """The job ends with everything there, once, and compared."""
    [found] = list(source.list_transforms())
    wanted = CUSTOMERS * (PURCHASES + 20)
    done = until(
        source,
        found.transform_id,
        lambda one: (
            one.state == "failed" or (one.state == "verified" and one.verification.events == wanted)
        ),
    )
    assert done.failure is None
    assert (done.events_written, done.targets, done.verification.targets_equal) == (wanted, 12, 12)
    assert done.events_read == wanted + CUSTOMERS * PURCHASES
    assert check_copied_into(source, "S", target, "T") == wanted
    assert totals(target, "T") == totals(source, "S")
    assert not list(source.list_streams(category="T"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The points that only another server reaches, once each; with `--all-kills` all others, which
    a transform within one store reaches too.
    """
    everything = metafunc.config.getoption("--all-kills")
    if "point" in metafunc.fixturenames:
        chosen = SENDING if everything else {"copies_sent": SENDING["copies_sent"][:1]}
        cases = [(point, act, times) for point, acts in chosen.items() for act, times in acts]
        metafunc.parametrize(("point", "act", "times"), cases)
    if "received" in metafunc.fixturenames:
        metafunc.parametrize("received", RECEIVING["copies_received"][: None if everything else 1])


def test_the_sender_is_killed(point: str, act: Act, times: int, url: str, tmp_path: Path) -> None:
    pair = Pair(url, tmp_path)
    pair.fill()
    with pair.receiver() as other, Client(other.address) as target:
        with contextlib.suppress(ServerDied), pair.sender(f"{point}:{times}") as server:
            act_until_dead(server, server, act)
        pair.end_leases()
        pair.append_more()
        with pair.sender() as server, Client(server.address) as store:
            if act is cancel:
                [found] = list(store.list_transforms())
                until(store, found.transform_id, lambda one: one.state == "cancelled")
                assert check_copied_into_once(target) == CUSTOMERS * PURCHASES
            else:
                check_copied(store, target)


def check_copied_into_once(target: Client) -> int:
    """The copies in a store, each of another event."""
    ids = [event.copied_from for event in target.read_all(copies="include")]
    assert len(set(ids)) == len(ids)
    return len(ids)


@pytest.mark.parametrize("both", [False, True], ids=["alone", "with-the-sender"])
def test_the_receiver_is_killed(received: int, both: bool, url: str, tmp_path: Path) -> None:
    pair = Pair(url, tmp_path)
    pair.fill()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(ServerDied), pair.receiver(f"copies_received:{received}") as other:
            server = stack.enter_context(pair.sender())
            act_until_dead(server, other, copy)
        if both:
            # Some of the chunk is there; what is sent next is a longer one.
            server.kill()
            pair.end_leases()
            pair.append_more()
            server = stack.enter_context(pair.sender())
        store = stack.enter_context(Client(server.address))
        [found] = list(store.list_transforms())
        until(store, found.transform_id, lambda one: one.waiting == "CONNECTION_FAILED")
        if not both:
            for customer in range(CUSTOMERS):
                events = [purchase(customer, PURCHASES + number) for number in range(20)]
                store.append(f"S-{customer}", events, expected_version=eventfold.ANY)
        with pair.receiver() as other, Client(other.address) as target:
            check_copied(store, target)
