"""Real purchases from end to end: import, states, a conflict and its retry, exact totals."""

import argparse
import asyncio
import datetime as dt
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path

from importer import import_all
from purchases import CATEGORY, WHOLE_FILE, PurchaseFile, Totals, load, sums
from rich.console import Console
from rich.progress import Progress

import eventfold

FOLD = Path(__file__).with_name("customer.fold.yaml")
PROJECTIONS = ("customers_over_500", "revenue_by_month")
END_OF_1997 = dt.datetime(1997, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
# The one with the most purchases, and the one who spent the most.
CUSTOMERS = ("14048", "07592")
START_S = 60
STOP_S = 60

GIFTS = {
    "fold": "gifts",
    "initial": {"granted": 0},
    "handlers": {"GiftGranted": {"granted": "state.granted + 1"}},
}


@contextmanager
def server(data_dir: Path) -> Iterator[str]:
    """Runs a server on a free port of this machine; yields its address."""
    command = [sys.executable, "-m", "eventfold", "serve", "--json", "--log-level", "warning"]
    command += ["--listen", "127.0.0.1:0", "--data-dir", str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise SystemExit("the server did not start")
            yield json.loads(line)["address"]
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def import_purchases(address: str, file: PurchaseFile) -> None:
    """Imports, with a progress bar where someone watches."""
    total = sum(len(purchases) for purchases in file.customers.values())
    err = Console(stderr=True)
    begin = time.monotonic()
    with Progress(console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(f"Importing {total:,} purchases", total=total)
        imported = asyncio.run(
            import_all(address, file, lambda count: progress.advance(task, count))
        )
    seconds = time.monotonic() - begin
    print(
        f"Imported {imported.stored:,} purchases in {seconds:.1f} s; "
        f"{imported.stored_before:,} were stored before."
    )


def show_customers(store: eventfold.Client, file: PurchaseFile) -> None:
    """States now, and as they were at the end of 1997: the same fold, no read model."""
    # A part of the file may lack the two; any others do.
    shown = [one for one in CUSTOMERS if one in file.customers] or list(file.customers)[-2:]
    for customer in shown:
        now = store.hydrate(CATEGORY, customer, fold="customer")
        then = store.hydrate(CATEGORY, customer, fold="customer", occurred_at=END_OF_1997)
        print(f"\nCustomer {customer}, version {now.version}:")
        for title, state in (("now", now.state), ("at 1997-12-31", then.state)):
            print(
                f"  {title:<14} {state['purchases']:>4} purchases, {state['cds']:>5} CDs, "
                f"{state['total']:>10,} dollars, {state['first']} to {state['last']}"
            )


def show_conflict(store: eventfold.Client, customer: str) -> None:
    """Two clerks decide on the same version; the second is refused, and decides again."""
    stream = f"gift-{customer}"

    def gift(state: dict[str, int], clerk: str) -> list[eventfold.Event]:
        number = state["granted"] + 1
        return [eventfold.Event("GiftGranted", {"number": number, "clerk": clerk})]

    print(f"\nTwo clerks look at {stream} at the same time, and each grants the next gift:")
    seen = store.hydrate("gift", customer, fold=GIFTS)
    store.emit_events("gift", customer, gift(seen.state, "Ada"), seen.version)
    print(f"  Ada grants number {seen.state['granted'] + 1}: version {seen.version + 1}")
    try:
        store.emit_events("gift", customer, gift(seen.state, "Bo"), seen.version)
    except eventfold.VersionConflict as conflict:
        print(f"  Bo is refused: expected version {conflict.expected}, found {conflict.actual}")
    else:
        raise SystemExit("the store let both of them decide on the same version")
    result = store.retry("gift", customer, lambda state: gift(state, "Bo"), fold=GIFTS)
    assert result is not None
    granted = store.hydrate("gift", customer, fold=GIFTS).state["granted"]
    print(f"  Bo decides again, and grants number {granted}: version {result.last_version}")


def put_projections(store: eventfold.Client) -> None:
    """Registers both before anything is imported: the server keeps their tables from here on."""
    for name in PROJECTIONS:
        store.put_projection(Path(__file__).with_name(f"{name}.projection.yaml"))


def show_projections(store: eventfold.Client, head: int) -> Decimal:
    """Questions about all customers, once everything is in the tables; returns all revenue."""
    best, by_month = PROJECTIONS
    for name in PROJECTIONS:
        store.wait_projection(name)
    count = store.count_projection(best, at_least_position=head)
    print(f"\nCustomers who spent more than 500 dollars: {count.rows:,}, the best of them")
    page = store.query_projection_page(best, order=["-total"], page_size=3)
    for row in page.rows:
        print(f"  {row.key:<14} {row.columns['total']:>10,} dollars")
    months = list(store.query_projection(by_month, order=["month"], at_least_position=head))
    revenue = sum((row.columns["revenue"] for row in months), Decimal(0))
    print(f"Revenue of {len(months)} months, {revenue:,} dollars, the first of them")
    for row in months[:3]:
        print(f"  {row.key:<14} {row.columns['revenue']:>10,} dollars")
    return revenue


def head_of(store: eventfold.Client) -> int:
    """Position of the newest event."""
    [last] = store.read_all(direction="backwards", limit=1)
    return last.position


def totals(store: eventfold.Client) -> Totals:
    """Reads every purchase back, and adds them up exactly."""
    cds = purchases = 0
    dollars = Decimal(0)
    for event in store.read_all(categories=[CATEGORY], types=["CdsPurchased"]):
        purchases += 1
        cds += event.data["quantity"]
        dollars += event.data["amount"]
    streams = sum(1 for _ in store.list_streams(category=CATEGORY))
    return Totals(purchases, streams, cds, dollars)


def arguments() -> argparse.Namespace:
    """What the demo can be told."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data-dir", type=Path, help="keep the store here; default: a folder that is removed"
    )
    parser.add_argument(
        "--customers", type=int, metavar="N", help="only the first N customers of the file"
    )
    return parser.parse_args()


def run(data_dir: Path, file: PurchaseFile, expected: Totals) -> bool:
    """The demo on a server of its own; whether all totals are those of the file."""
    begin = time.monotonic()
    with server(data_dir) as address, eventfold.Client(address) as store:
        print(f"A server runs on {address}, with its data in {data_dir}.")
        store.put_fold(FOLD)
        put_projections(store)
        import_purchases(address, file)
        show_customers(store, file)
        show_conflict(store, next(iter(file.customers)))
        found = totals(store)
        revenue = show_projections(store, head_of(store))
    matches = found == expected and revenue == expected.dollars
    print("\nAll purchases, read back from the store and added up:")
    print(f"  {found}")
    print("  exactly what the file holds" if matches else f"  BUT THE FILE HOLDS {expected}")
    print(f"Done in {time.monotonic() - begin:.1f} s; the server has stopped.")
    return matches


def main() -> int:
    """Returns the exit code: 0 if the totals match."""
    options = arguments()
    file = load()
    expected = sums(one for purchases in file.customers.values() for one in purchases)
    assert expected == WHOLE_FILE
    if options.customers is not None:
        file = file.first(options.customers)
        expected = sums(one for purchases in file.customers.values() for one in purchases)
    with ExitStack() as stack:
        data_dir = options.data_dir
        if data_dir is None:
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="eventfold-cdnow-"))
            data_dir = Path(name)
            # PostgreSQL refuses to run as root, and then runs as a user who must come in here.
            data_dir.chmod(0o711)
        return 0 if run(data_dir, file, expected) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        # The server has the signal too; it was waited for on the way here.
        sys.exit(130)
