"""Mappings of the core through its bindings: conversions, exceptions, trials on pages.

The semantics are tested in Rust and by a model; here is what the bindings add.
"""

from __future__ import annotations

import struct

import pytest
from tests.support.pages import EPOCH_US, OIDS, array

from eventfold import EventFlags, RecordedEvent, _core
from eventfold.v1 import event_store_pb2 as pb

ID = "01890000-0000-7000-8000-{:012d}"
SOURCE = "mapping: A\nrenames: {mail: email}\ncomputed: {n: event.n + 1}"


def batch(events: list[tuple[str, bytes, bool]]) -> _core.Batch:
    """A page of the stream `a-1` of events by type, data, and whether they are deleted."""
    numbers = range(1, len(events) + 1)
    cells: list[list[bytes | None]] = [[None] * len(events) for _ in OIDS]
    cells[0] = [b"a-1"] * len(events)
    cells[1] = [struct.pack(">q", n) for n in numbers]
    cells[2] = [struct.pack(">q", n + 10) for n in numbers]
    cells[3] = [bytes.fromhex(ID.format(n).replace("-", "")) for n in numbers]
    cells[4] = [kind.encode() for kind, _, _ in events]
    cells[5] = [data for _, data, _ in events]
    cells[8] = [struct.pack(">q", n - EPOCH_US) for n in numbers]
    cells[10] = [b"me"] * len(events)
    cells[11] = [struct.pack(">i", 1)] * len(events)
    cells[15] = [bytes([deleted]) for _, _, deleted in events]
    return _core.Batch([array(oid, column) for oid, column in zip(OIDS, cells, strict=True)])


def test_a_mapping_says_what_it_is() -> None:
    mapping = _core.Mapping(SOURCE)
    assert mapping.event_type == "A"
    assert len(mapping.digest) == 64
    assert mapping.digest == _core.Mapping(SOURCE.replace("mapping: A", "mapping: B")).digest


def test_an_event_is_mapped_with_all_of_its_fields() -> None:
    mapping = _core.Mapping(
        'mapping: A\ncomputed:\n  all: "[meta.id, meta.stream, meta.category, meta.stream_id,'
        " meta.type, meta.writer, meta.recorded_at,"
        ' meta.occurred_at, meta.tags, meta.metadata, meta.copied_from]"'
    )
    found = mapping.apply(
        b'{"x": 1.50}',
        stream="a-1",
        metadata=b'{"m":1}',
        tags=["t"],
        event_id=ID.format(7),
        version=2,
        position=3,
        recorded_us=1_000_000,
        occurred_us=2_000_000,
        writer="me",
    )
    expected = (
        f'"{ID.format(7)}","a-1","a","1","A","me","1970-01-01T00:00:01Z",'
        '"1970-01-01T00:00:02Z",["t"],{"m":1},null'
    )
    assert found == b'{"x": 1.50,"all":[' + expected.encode() + b"]}"
    bare = _core.Mapping('mapping: A\ncomputed: {a: "meta.occurred_at"}').apply(b"{}")
    assert bare == b'{"a":"1970-01-01T00:00:00Z"}'
    assert _core.Mapping("mapping: A\nrenames: {a: b}").apply(b"{}") is None


def test_refusals_are_typed() -> None:
    with pytest.raises(_core.CoreError) as caught:
        _core.Mapping("mapping: A\ncomputed: {a: meta.root}")
    assert (caught.value.reason, caught.value.facts["path"]) == ("INVALID_MAPPING", "computed.a")
    mapping = _core.Mapping(SOURCE)
    with pytest.raises(_core.CoreError) as caught:
        mapping.apply(b'{"n":"secret"}', stream="a-1", version=4)
    error = caught.value
    assert error.reason == "MAPPING_FAILED"
    assert list(error.facts)[:3] == ["type", "path", "stream"]
    assert "secret" not in f"{error} {error.facts}"
    for data in (b"[]", b'{"n":1,"n":2}'):
        with pytest.raises(_core.CoreError, match="EVENT_CORRUPT"):
            mapping.apply(data)
    with pytest.raises(ValueError, match="UUID"):
        mapping.apply(b"{}", event_id="x")


def test_a_stored_mapping_that_does_not_compile_fails_on_each_event() -> None:
    known = _core.Mapping.stored("A", "d", SOURCE)
    assert known.digest == _core.Mapping(SOURCE).digest
    broken = _core.Mapping.stored("A", "d", "mapping: A\nsplits: {a: b}\n")
    assert (broken.event_type, broken.digest) == ("A", "d")
    with pytest.raises(_core.CoreError, match="does not understand the mapping") as caught:
        broken.apply(b"{}", stream="a-1", version=4)
    assert (caught.value.reason, caught.value.facts["version"]) == ("MAPPING_FAILED", "4")


def test_a_trial_counts_events_changes_and_misfits() -> None:
    page = batch(
        [
            ("A", b'{"n":1}', False),
            ("A", b'{"mail":1}', False),
            ("B", b"{}", False),
            ("A", b"", True),
            ("A", b'{"n":9223372036854775807}', False),
            ("A", b'{"n":2}', False),
        ]
    )
    trial = _core.Mapping(SOURCE).try_batch(page, 1)
    assert (trial.events, trial.changed, trial.misfits) == (4, 2, 2)
    [(stream, version, position, event_id, error)] = trial.first
    assert (stream, version, position, event_id) == ("a-1", 2, 12, ID.format(2))
    assert (error.reason, error.facts["path"]) == ("MAPPING_FAILED", "computed.n")
    assert [misfit[1] for misfit in _core.Mapping(SOURCE).try_batch(page, 9).first] == [2, 5]
    unchanged = _core.Mapping("mapping: A\ndefaults: {n: 0, mail: 0}").try_batch(page, 9)
    assert (unchanged.events, unchanged.changed, unchanged.misfits) == (4, 4, 0)


def test_an_event_says_that_it_was_mapped() -> None:
    fold = _core.Fold("fold: a\nhandlers: {A: {mapped: meta.mapped}}")
    for flags, mapped in [(0, False), (1, False), (EventFlags.MAPPED, True), (33, True)]:
        message = pb.RecordedEvent(
            id=ID.format(1), stream="a-1", type="A", version=1, data=b"{}", flags=flags
        )
        event = RecordedEvent(message.SerializeToString())
        assert (event.mapped, event.flags) == (mapped, EventFlags(flags))
        run = fold.run("a-1", "a-1")
        run.feed_recorded(event)
        assert run.finish().state == f'{{"mapped":{str(mapped).lower()}}}'.encode()
