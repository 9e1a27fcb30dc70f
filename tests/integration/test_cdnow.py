"""Goal: `make demo` tells the truth: every purchase is stored once, and the totals are exact.

Method: a part of the file through the importer on a store of its own, twice; a part of the demo as
a process, twice on the same data; the whole demo once, with both projections.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from demo import totals
from importer import Imported, import_all
from purchases import WHOLE_FILE, PurchaseFile, Totals, event_of, load, sums

import eventfold

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "cdnow" / "demo.py"
DEMO_S = 240


@pytest.fixture(scope="module")
def whole_file() -> PurchaseFile:
    return load()


def totals_of(file: PurchaseFile) -> Totals:
    return sums(one for purchases in file.customers.values() for one in purchases)


def test_the_file_is_the_one_that_was_summed(whole_file: PurchaseFile) -> None:
    assert totals_of(whole_file) == WHOLE_FILE
    assert len(whole_file.customers["14048"]) == 217
    assert sum(one.amount for one in whole_file.customers["07592"]) == Decimal("13990.93")


def test_an_event_is_the_line_as_it_stands(whole_file: PurchaseFile) -> None:
    [purchase] = [one for one in whole_file.customers["00002"] if one.quantity == 1]
    event = event_of(purchase, whole_file.digest)
    # Zeros at the end stay: they are what the shop wrote.
    assert event.data_json == b'{"date":"1997-01-12","quantity":1,"amount":12.00}'
    assert event_of(purchase, whole_file.digest).id == event.id


def test_lines_that_are_alike_have_ids_of_their_own(whole_file: PurchaseFile) -> None:
    purchases = [one for row in whole_file.customers.values() for one in row]
    contents = {(one.customer, one.date, one.quantity, one.amount) for one in purchases}
    assert len(purchases) - len(contents) == 255
    assert len({event_of(one, whole_file.digest).id for one in purchases}) == len(purchases)


def test_a_second_import_stores_nothing(
    whole_file: PurchaseFile, eventfold_target: str, store: eventfold.Client
) -> None:
    part = whole_file.first(300)
    expected = totals_of(part)
    moved: list[int] = []

    def run() -> Imported:
        return asyncio.run(import_all(eventfold_target, part, moved.append))

    assert run() == Imported(stored=expected.purchases)
    assert run() == Imported(stored_before=expected.purchases)
    assert sum(moved) == 2 * expected.purchases
    assert totals(store) == expected


def test_an_import_that_was_broken_off_goes_on(
    whole_file: PurchaseFile, eventfold_target: str, store: eventfold.Client
) -> None:
    asyncio.run(import_all(eventfold_target, whole_file.first(20), lambda _: None))
    part = whole_file.first(50)
    imported = asyncio.run(import_all(eventfold_target, part, lambda _: None))
    assert imported.stored_before == totals_of(whole_file.first(20)).purchases
    assert totals(store) == totals_of(part)


def demo(*options: str) -> str:
    done = subprocess.run(
        [sys.executable, str(DEMO), *options],
        capture_output=True,
        text=True,
        timeout=DEMO_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "exactly what the file holds" in done.stdout
    return done.stdout


def test_the_demo_can_run_again_on_its_data(
    whole_file: PurchaseFile, shared_tmp_path: Path
) -> None:
    expected = totals_of(whole_file.first(200))
    options = ("--customers", "200", "--data-dir", str(shared_tmp_path / "data"))
    first, second = demo(*options), demo(*options)
    assert f"Imported {expected.purchases:,} purchases" in first
    assert "Imported 0 purchases" in second
    assert f"{expected.purchases:,} were stored before" in second
    for shown in (first, second):
        assert str(expected) in shown
        assert re.search(r"Bo is refused: expected version (\d+), found \d+", shown)


def test_purchases_are_cut_over_into_streams_by_month(whole_file: PurchaseFile) -> None:
    """A part of the file; `python examples/cdnow/by_month.py` takes all of it."""
    done = subprocess.run(
        [sys.executable, str(DEMO.with_name("by_month.py")), "--customers", "400"],
        capture_output=True,
        text=True,
        timeout=DEMO_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    purchases = totals_of(whole_file.first(400)).purchases
    assert f"Copied and compared {purchases:,} purchases of 400 streams" in done.stdout
    assert "400 streams refused one" in done.stdout
    assert "Exactly what was bought." in done.stdout


@pytest.mark.timeout(300)
def test_the_whole_demo(tmp_path: Path) -> None:
    shown = demo()
    assert "69,659 purchases, 23,570 streams, 167,881 CDs, 2,500,315.63 dollars" in shown
    assert "Customer 14048, version 217:" in shown
    assert "Customer 07592, version 201:" in shown
    assert "13,990.93 dollars" in shown
    # From a sum of the file that has nothing to do with eventfold.
    assert "Customers who spent more than 500 dollars: 734, the best of them" in shown
    assert "Revenue of 18 months, 2,500,315.63 dollars, the first of them" in shown
