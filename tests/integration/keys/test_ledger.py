"""Goal: a ledger of fences holds what was said, in a file and in a table, whoever appends, and one
that was changed is noticed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from eventfold_server.errors import Refusal
from eventfold_server.storage.keys.database import KeyStoreAddress
from eventfold_server.storage.keys.ledger import (
    EntryKind,
    FenceLedger,
    LedgerPlace,
    LedgerRefused,
    Owner,
)
from eventfold_server.storage.keys.ledger_file import FileLedger
from eventfold_server.storage.keys.ledger_table import TableLedger

OWNER = Owner(uuid.UUID(int=1), uuid.UUID(int=2))
HASHES = [bytes([number]) * 32 for number in range(5)]
Make = Callable[[], FenceLedger]


@pytest.fixture(params=["file", "table"])
def make(request: pytest.FixtureRequest, tmp_path: Path, postgres: str, schema: str) -> Make:
    """Makes ledgers in one place, as several servers have them."""
    if request.param == "file":
        return lambda: FileLedger(tmp_path / "folder" / "fences")
    return lambda: TableLedger(KeyStoreAddress(postgres, schema))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fences"


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, text: bytes | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text)


def mode(path: Path) -> int:
    return path.stat().st_mode


async def written(path: Path, entries: int = 3) -> FileLedger:
    ledger = FileLedger(path)
    await ledger.open(OWNER, may_begin=True)
    for hash_ in HASHES[:entries]:
        await ledger.append(EntryKind.FENCE, hash_)
    return ledger


async def test_entries_are_found_again(make: Make) -> None:
    ledger = make()
    await ledger.open(OWNER, may_begin=True)
    assert ledger.last == LedgerPlace()
    first = await ledger.append(EntryKind.FENCE, HASHES[0])
    second = await ledger.append(EntryKind.FENCE, HASHES[1])
    third = await ledger.append(EntryKind.READMIT, HASHES[0])
    assert [one.number for one in (first, second, third)] == [1, 2, 3]
    again = make()
    await again.open(OWNER, may_begin=False)
    for one in (ledger, again):
        assert list(await one.entries(0)) == [first, second, third]
        assert list(await one.entries(2)) == [third]
        assert await one.fenced(HASHES[0]) is None
        assert await one.fenced(HASHES[1]) == second
        assert one.last == third.place
        await one.close()


async def test_servers_that_append_at_once_make_one_list(make: Make) -> None:
    ledgers = [make() for _ in range(3)]
    for ledger in ledgers:
        await ledger.open(OWNER, may_begin=True)
    hashes = [bytes([number]) * 32 for number in range(60)]
    made = await asyncio.gather(
        *(ledgers[n % 3].append(EntryKind.FENCE, hash_) for n, hash_ in enumerate(hashes))
    )
    assert sorted(one.number for one in made) == list(range(1, 61))
    lists = [list(await ledger.entries(0)) for ledger in ledgers]
    assert lists[0] == lists[1] == lists[2]
    assert {one.subject_hash for one in lists[0]} == set(hashes)
    for ledger in ledgers:
        await ledger.close()


async def test_a_ledger_of_others_is_refused(make: Make) -> None:
    ledger = make()
    await ledger.open(OWNER, may_begin=True)
    await ledger.close()
    for other in (Owner(uuid.uuid4(), OWNER.key_store_id), Owner(OWNER.store_id, uuid.uuid4())):
        again = make()
        with pytest.raises(LedgerRefused, match="is that of the"):
            await again.open(other, may_begin=True)
        await again.close()


async def test_one_that_is_missing_is_not_made_again(make: Make) -> None:
    ledger = make()
    with pytest.raises(LedgerRefused, match="missing or empty"):
        await ledger.open(OWNER, may_begin=False)
    await ledger.close()


async def test_it_holds_no_more_than_it_must(path: Path) -> None:
    await written(path)
    assert mode(path) & 0o077 == 0
    for line in read(path).splitlines()[1:]:
        assert set(json.loads(line)) == {
            "no", "store_id", "kind", "subject_hash", "time", "previous",
        }  # fmt: skip


async def test_shorter_or_other_than_somebody_has_followed(path: Path) -> None:
    ledger = await written(path)
    places = [one.place for one in await ledger.entries(0)]
    for place in (LedgerPlace(), *places):
        ledger.check(place, "log")
    with pytest.raises(LedgerRefused, match="the log has followed it up to 4"):
        ledger.check(LedgerPlace(4, b"x"), "log")
    with pytest.raises(LedgerRefused, match=r"entry 2 .* is not the one"):
        ledger.check(LedgerPlace(2, places[0].digest), "log")


def changed(lines: list[bytes], how: str) -> list[bytes]:
    match how:
        case "hash":
            lines[2] = lines[2].replace(HASHES[1].hex().encode(), HASHES[4].hex().encode())
        case "kind":
            lines[1] = lines[1].replace(b"fence", b"readmit")
        case "order":
            lines[2], lines[3] = lines[3], lines[2]
        case "gap":
            del lines[2]
        case "text":
            lines[2] = b"\xff not JSON"
        case "first":
            lines[0] = b"{}"
    return lines


@pytest.mark.parametrize("how", ["hash", "kind", "order", "gap", "text", "first"])
async def test_one_that_was_changed_is_noticed(path: Path, how: str) -> None:
    await written(path)
    lines = changed(read(path).splitlines(), how)
    write(path, b"".join(line + b"\n" for line in lines))
    with pytest.raises(LedgerRefused):
        await FileLedger(path).open(OWNER, may_begin=False)


async def test_a_line_that_was_never_whole_is_cut_off(path: Path) -> None:
    """Who died while writing it has told nobody."""
    ledger = await written(path)
    whole = read(path)
    write(path, whole + b'{"no":4,"sto')
    again = FileLedger(path)
    await again.open(OWNER, may_begin=False)
    assert len(await again.entries(0)) == 3
    fourth = await again.append(EntryKind.FENCE, HASHES[3])
    assert fourth.number == 4
    assert read(path).startswith(whole + b'{"no":4,"store_id"')
    assert (await ledger.entries(3))[0] == fourth


async def test_one_that_is_cut_off_or_replaced_under_a_server(path: Path) -> None:
    ledger = await written(path)
    whole = read(path)
    write(path, whole[: whole.rindex(b'{"no":3')])
    with pytest.raises(LedgerRefused, match="cut off"):
        await ledger.entries(0)
    other = path.with_name("other")
    other.write_bytes(whole)
    other.replace(path)
    with pytest.raises(LedgerRefused, match="replaced"):
        await ledger.append(EntryKind.FENCE, HASHES[3])
    write(path, None)
    with pytest.raises(LedgerRefused, match="gone"):
        await ledger.fenced(HASHES[0])


async def test_whoever_leaves_takes_nothing_along(path: Path) -> None:
    ledger = await written(path, 0)
    for number in range(40):
        left = asyncio.create_task(ledger.append(EntryKind.FENCE, bytes([number]) * 32))
        for _ in range(number % 8):
            await asyncio.sleep(0)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
    last = await ledger.append(EntryKind.FENCE, HASHES[0])
    again = FileLedger(path)
    await again.open(OWNER, may_begin=False)
    assert list(await again.entries(0)) == list(await ledger.entries(0))
    assert again.last == last.place


async def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(Refusal) as caught:
        await FileLedger(blocked / "fences").open(OWNER, may_begin=True)
    assert caught.value.reason == "KEYS_UNAVAILABLE"
    assert caught.value.facts == {"problem": "fence_ledger"}


async def test_a_table_refuses_every_change(postgres: str, schema: str) -> None:
    ledger = TableLedger(KeyStoreAddress(postgres, schema))
    await ledger.open(OWNER, may_begin=True)
    await ledger.append(EntryKind.FENCE, HASHES[0])
    await ledger.close()
    with psycopg.connect(postgres, autocommit=True) as connection:
        for statement in ("UPDATE {}.ledger SET line = ''", "DELETE FROM {}.ledger",
                          "TRUNCATE {}.ledger"):  # fmt: skip
            with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
                connection.execute(statement.format(schema))


_WRITER = """
import asyncio, sys, uuid
from pathlib import Path
from eventfold_server.storage.keys.ledger import EntryKind, Owner
from eventfold_server.storage.keys.ledger_file import FileLedger

async def main():
    ledger = FileLedger(Path(sys.argv[1]))
    await ledger.open(Owner(uuid.UUID(int=1), uuid.UUID(int=2)), may_begin=True)
    while True:
        entry = await ledger.append(EntryKind.FENCE, uuid.uuid4().bytes * 2)
        print(entry.number, entry.subject_hash.hex(), flush=True)

asyncio.run(main())
"""


def test_what_processes_were_told_is_there_after_they_were_killed(path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    told: list[str] = []
    try:
        for writer in writers:
            assert writer.stdout is not None
            told += [writer.stdout.readline() for _ in range(20)]
    finally:
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
        for writer in writers:
            assert writer.stdout is not None
            # The last line may be torn.
            told += [line for line in writer.stdout if line.endswith("\n")]
            writer.stdout.close()
            writer.wait()

    async def entries() -> dict[int, str]:
        ledger = FileLedger(path)
        await ledger.open(OWNER, may_begin=False)
        return {one.number: one.subject_hash.hex() for one in await ledger.entries(0)}

    found = asyncio.run(entries())
    assert len(told) >= 60
    for line in told:
        number, hash_ = line.split()
        assert found[int(number)] == hash_
