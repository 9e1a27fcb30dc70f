"""Transforms of the core through its bindings: conversions, exceptions, arguments of appends.

The semantics are tested in Rust and by a model; here is what the bindings add.
"""

from __future__ import annotations

import hashlib
import uuid

import pytest
from tests.support.transforms import JOB, Source, page

from eventfold import _core

RULES = _core.Rules(7)
SOURCE = """
transform: by-month
source: {category: a}
into: [b]
stream: "'b-' + meta.stream_id"
verify: {from: old, to: new}
events:
  Ignored: drop
  T: [{type: One, tags: "['z', 'y']"}, {type: Two, when: event.two, metadata: {m: "1"}}]
"""


def test_a_transform_says_what_it_is() -> None:
    transform = _core.Transform(SOURCE)
    assert (transform.name, len(transform.digest)) == ("by-month", 64)
    assert (transform.categories, transform.streams, transform.into) == (["a"], None, ["b"])
    assert (transform.types, transform.keeps_others) == (["Ignored", "T"], False)
    assert (transform.verify, transform.reads_root) == (("old", "new"), False)
    rest = "into: b\nstream: \"'b-' + meta.root\"\nothers: keep"
    streams = _core.Transform(f"transform: t\nsource: {{streams: [a-2, a-1]}}\n{rest}")
    assert (streams.categories, streams.streams) == (None, ["a-1", "a-2"])
    assert (streams.verify, streams.reads_root, streams.keeps_others) == (None, True, True)
    log = _core.Transform(f"transform: t\nsource: {{log: true}}\n{rest}")
    assert (log.categories, log.streams) == (None, None)


def test_refusals_are_typed() -> None:
    with pytest.raises(_core.CoreError) as caught:
        _core.Transform(SOURCE.replace("into: [b]", "into: [b-1]"))
    error = caught.value
    assert (error.reason, error.facts["path"]) == ("INVALID_TRANSFORM", "into")
    assert error.facts["excerpt"].startswith("into: [b-1]\n")
    with pytest.raises(_core.CoreError, match="TRANSFORM_TOO_LARGE"):
        _core.Transform(SOURCE + "#" * 65_536)
    with pytest.raises(ValueError, match="job is not a UUID"):
        _core.Transform(SOURCE).apply(page([]), "x", RULES)
    with pytest.raises(_core.CoreError, match="BUG"):
        _core.Transform(SOURCE).apply(page([Source("T", b"{}", flags=32)]), JOB, RULES)


def test_copies_come_as_arguments_of_an_append() -> None:
    events = [
        Source("T", b'{"two": true}', tags=["t"]),
        Source("Ignored", b"{}"),
        Source("T", b'{"two": false}', stream="a-2"),
        Source("T", b'{"two":false}', cancels=uuid.UUID(int=9), occurred_us=5_000_000),
    ]
    copies = _core.Transform(SOURCE).apply(page(events), JOB, RULES)
    assert (copies.next, copies.failed, copies.events) == (4, None, 4)
    one, two = copies.appends
    assert (one.stream, one.events, one.first_position, one.last_position) == ("b-1", 3, 101, 104)
    assert (two.stream, two.events, two.first_position) == ("b-2", 1, 103)
    assert one.size_bytes + two.size_bytes == copies.size_bytes
    assert len(two.columns(-2, "me")) == 18

    def copy_id(number: int, ordinal: int) -> str:
        name = events[number].id(number).bytes + ordinal.to_bytes(4, "big")
        digest = hashlib.sha1(uuid.UUID(JOB).bytes + name, usedforsecurity=False).digest()
        return str(uuid.UUID(bytes=digest[:16], version=5))

    columns = one.columns(4, "me", "trace")
    assert columns[:3] == ("b-1", "b", 4)
    assert columns[3] == [copy_id(0, 0), copy_id(0, 1), copy_id(3, 0)]
    assert columns[4] == ["One", "Two", "One"]
    assert columns[5] == [b'{"two": true}', b'{"two": true}', b'{"two":false}']
    assert columns[6] == [b"{}", b'{"m":1}', b"{}"]
    assert columns[7:9] == (["y", "z", "t", "y", "z"], [2, 3, 5])
    assert columns[9][2] == "1970-01-01T00:00:05Z"
    assert columns[10] == [1, 1, 1]
    assert {len(digest) for column in columns[11:13] for digest in column} == {32}
    assert columns[13:16] == ("me", "trace", 7)
    cancelled = _core.Transform.copy_id(JOB, str(uuid.UUID(int=9)))
    assert columns[16] == [None, None, cancelled]
    assert columns[17] == [str(events[number].id(number)) for number in (0, 0, 3)]
    assert _core.Transform.copy_id(JOB, str(events[0].id(0)), 1) == copy_id(0, 1)


def test_counts_and_examples_tell_a_dry_run() -> None:
    events = [
        Source("T", b'{"two":true}'),
        Source("T", b'{"two":false}'),
        Source("T", b"", deleted=True),
        Source("Undone", b"{}", cancels=uuid.UUID(int=1)),
        Source("T", b'{"two":5}'),
        Source("T", b'{"two":false}'),
    ]
    transform = _core.Transform(SOURCE)
    copies = transform.apply(page(events), JOB, RULES, examples_max=2)
    told = [
        (c.event_type, c.read, c.written, c.renamed, c.split, c.dropped, c.deleted)
        for c in copies.counts
    ]
    assert told == [("T", 3, 3, 3, 1, 0, 1), ("Undone", 1, 0, 0, 0, 1, 0)]
    assert [count.dropped_cancellations for count in copies.counts] == [0, 1]
    first, second, third = copies.examples
    assert (first.stream, first.version, first.position) == ("a-1", 1, 101)
    assert (first.event_id, first.event_type) == (str(events[0].id(0)), "T")
    assert first.data == b'{"two":true}'
    assert [copy[:2] for copy in first.copies] == [("b-1", "One"), ("b-1", "Two")]
    assert first.copies[1][3:] == (b'{"two":true}', b'{"m":1}', [])
    assert (len(second.copies), third.copies, third.event_type) == (1, [], "Undone")

    assert copies.next == 4
    assert copies.failed is not None
    assert copies.failed.reason == "TRANSFORM_FAILED"
    assert list(copies.failed.facts)[:3] == ["transform", "rule", "path"]
    assert copies.failed.facts["rule"] == "T[1]"
    rest = transform.apply(page(events), JOB, RULES, first=5)
    assert (rest.next, rest.failed, rest.events) == (6, None, 1)
    assert rest.examples == []


def test_rules_in_force_hold_copies() -> None:
    schema = _core.Schema('{"required": ["n"]}', [], False)
    rules = _core.Rules(8, schemas=[("One", 1, schema)])
    copies = _core.Transform(SOURCE).apply(page([Source("T", b'{"two":false}')]), JOB, rules)
    assert copies.failed is not None
    assert copies.failed.facts["cause"] == "SCHEMA_VIOLATION"


def test_hashes_of_both_sides_are_compared() -> None:
    events = [Source("T", b'{"two":true}', stream=f"a-{number % 2}") for number in range(4)]
    copies = _core.Transform(SOURCE).apply(page(events), JOB, RULES)
    made = _core.StreamHashes()
    made.add_copies(copies)
    assert (len(made), made.events) == (2, 8)
    stored = [
        Source(
            event_type,
            data,
            stream=append.stream,
            metadata=metadata,
            tags=tags,
            occurred_us=number // 2 + 1,
            copied_from=uuid.UUID(copied_from),
            event_id=uuid.UUID(event_id),
        )
        for append in copies.appends
        for number, event_type, data, metadata, tags, copied_from, event_id in _events(
            append, copies.appends
        )
    ]
    there = _core.StreamHashes()
    there.add_batch(page([*stored, Source("Other", b"{}", stream="b-1")]))
    assert made.differences(there, 9) == (0, [])
    assert made.streams == there.streams
    assert [(name, count, len(value)) for name, count, value in made.streams] == [
        ("b-0", 4, 32),
        ("b-1", 4, 32),
    ]
    begun = _core.StreamHashes()
    begun.add_batch(page(stored[:3]))
    assert made.differences(begun, 1) == (2, [("b-0", 4, 3)])
    again = _core.StreamHashes(begun.streams)
    again.add_batch(page(stored[3:]))
    assert made.differences(again, 1) == (0, [])
    assert made.differences(made, 1) == (0, [])


def _events(
    append: _core.CopiedAppend, appends: list[_core.CopiedAppend]
) -> list[tuple[int, str, bytes, bytes, list[str], str, str]]:
    """What an append stores; the number is that of the events of all, by source."""
    columns = append.columns(-2, "me")
    ends = [0, *columns[8]]
    first = 0 if append.stream == appends[0].stream else 2
    return [
        (
            # Of each stream every other event, with two copies each.
            2 * (2 * (n // 2)) + first,
            columns[4][n],
            columns[5][n],
            columns[6][n],
            columns[7][ends[n] : ends[n + 1]],
            columns[17][n],
            columns[3][n],
        )
        for n in range(append.events)
    ]
