"""Goal: an append is held to the rules in force, and what they refuse is told and never raised.

Method: serialised requests against `_core.Append` under rules of every mode.
"""

from __future__ import annotations

import json
import threading

import pytest

from eventfold import _core
from eventfold.v1 import appends_pb2 as pb

OFF, WARN, ENFORCE = 1, 2, 3
SCHEMA = _core.Schema(
    '{"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}', [], False
)
SECRET = "s3cret"
MISFIT = json.dumps({"a": SECRET}).encode()


def request(*events: tuple[str, bytes], stream: str = "acc-1") -> pb.AppendRequest:
    made = pb.AppendRequest(stream=stream)
    made.expected_version.any.SetInParent()
    for event_type, data in events:
        made.events.add(type=event_type, data=data)
    return made


def check(rules: _core.Rules, *events: tuple[str, bytes]) -> _core.Append:
    return _core.Append.of_request(request(*events).SerializeToString(), "me", None, rules)


def rules(version: int = 1, **more: dict[str, int]) -> _core.Rules:
    return _core.Rules(version, schemas=[("T", 3, SCHEMA)], **more)


def test_an_event_that_does_not_fit_is_refused_with_facts_and_without_its_value() -> None:
    append = check(rules(), ("T", b'{"a": 1}'), ("T", MISFIT), ("Other", b"{}"), ("T", b"{}"))
    [refused] = append.refused
    facts = refused.error.facts
    told = json.loads(facts["violations"])
    assert (refused.append_index, refused.stream) == (0, "acc-1")
    assert (refused.error.reason, facts["event_index"], facts["type"]) == (
        "SCHEMA_VIOLATION",
        "1",
        "T",
    )
    assert (facts["pointer"], facts["rule"], facts["count"]) == ("/a", "type", "2")
    assert facts["revision"] == "3"
    assert [(one["event_index"], one["rule"]) for one in told] == [(1, "type"), (3, "required")]
    listed = [(one.event_index, one.event_type, one.pointer) for one in refused.violations]
    assert listed == [(1, "T", "/a"), (3, "T", "")]
    assert SECRET not in f"{refused.error} {facts}"


@pytest.mark.parametrize(
    ("data", "told"),
    [(MISFIT, "the schema of T: `/a` must be"), (b"{}", "the schema of T: must have")],
)
def test_the_message_says_where_unless_it_is_the_whole(data: bytes, told: str) -> None:
    [refused] = check(rules(), ("T", data)).refused
    assert told in str(refused.error)


@pytest.mark.parametrize(
    ("type_modes", "category_modes", "expected"),
    [
        ({}, {}, "enforced"),
        ({"T": WARN}, {}, "warned"),
        ({"T": OFF}, {}, "passed"),
        ({}, {"acc": WARN}, "warned"),
        ({}, {"acc": OFF}, "passed"),
        ({}, {"other": OFF}, "enforced"),
        ({"T": ENFORCE}, {"acc": OFF}, "enforced"),
        ({"T": WARN}, {"acc": ENFORCE}, "warned"),
    ],
)
def test_the_mode_is_that_of_the_type_then_of_the_category(
    type_modes: dict[str, int], category_modes: dict[str, int], expected: str
) -> None:
    append = check(rules(type_modes=type_modes, category_modes=category_modes), ("T", MISFIT))
    found = "passed"
    if append.violations:
        found = "enforced" if append.refused else "warned"
        assert append.violations[0].enforced == bool(append.refused)
    assert found == expected


def test_an_append_is_checked_again_under_other_rules() -> None:
    append = check(_core.Rules(1), ("T", MISFIT))
    assert (append.refused, append.violations, append.catalogue_version) == ([], [], 1)
    append.check_again(rules(2))
    assert (len(append.refused), append.catalogue_version) == (1, 2)
    append.check_again(_core.Rules(3))
    assert (append.refused, append.catalogue_version) == ([], 3)


def test_the_form_is_refused_first_and_by_an_error() -> None:
    with pytest.raises(_core.CoreError) as caught:
        check(rules(), ("T", MISFIT), ("T", b"{"))
    assert (caught.value.reason, caught.value.facts["event_index"]) == ("INVALID_JSON", "1")


def test_parts_of_an_append_are_refused_each_for_itself() -> None:
    many = pb.AppendManyRequest()
    for stream, data in [("a-1", b'{"a": 1}'), ("a-2", MISFIT), ("a-3", b"{}")]:
        one = request(("T", data), stream=stream).SerializeToString()
        many.appends.add().MergeFromString(one)
    append = _core.Append.of_many(many.SerializeToString(), "me", None, rules())
    assert [(one.append_index, one.stream) for one in append.refused] == [(1, "a-2"), (2, "a-3")]
    assert [len(one.violations) for one in append.refused] == [1, 1]


def test_violations_are_listed_up_to_their_limit_and_all_counted() -> None:
    limit = _core.limits()["violations_max"]
    wide = _core.Schema('{"properties": {"a": {"items": {"type": "null"}}}}', [], False)
    elements = json.dumps({"a": [1] * limit}).encode()
    in_force = _core.Rules(1, schemas=[("T", 1, wide)])
    append = check(in_force, ("T", elements), ("T", b'{"a": [1]}'))
    assert len(append.violations) == limit
    [refused] = append.refused
    assert refused.error.facts["count"] == str(limit + 1)
    assert len(refused.error.facts["violations"]) <= _core.limits()["violations_told_bytes_max"]


def test_a_mapping_in_force_is_tried_on_each_event() -> None:
    mapping = _core.Mapping("mapping: T\ncomputed: {b: 'event.a + 1'}\n")
    in_force = _core.Rules(1, mappings=[mapping])
    assert check(in_force, ("T", b'{"a": 1}'), ("Other", b"{}")).refused == []
    [refused] = check(in_force, ("T", b'{"a": 1}'), ("T", b"{}")).refused
    facts = refused.error.facts
    assert (refused.error.reason, facts["event_index"]) == ("MAPPING_FAILED", "1")
    assert (facts["type"], facts["path"]) == ("T", "computed.b")


TEN = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
# Takes more steps than one event may.
HEAVY = _core.Rules(
    1,
    mappings=[
        _core.Mapping(
            f"mapping: T\ncomputed:\n  s: '{TEN}.map(a, {TEN}.map(b, {TEN}.map(c, {TEN}.map(d, "
            f"{TEN}.map(e, a + b + c + d + e))))).size()'\n"
        )
    ],
)
LIMITS = _core.limits()


def wide_schema() -> _core.Schema:
    """Each element of an event takes more than 8,000 steps."""
    chain = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(13)}
    schema = {
        "properties": {"l": {"items": {"$ref": "#/$defs/d0"}}},
        "$defs": chain | {"d13": {"type": "integer"}},
    }
    return _core.Schema(json.dumps(schema), [], False)


def wide_rules(mode: int = ENFORCE) -> _core.Rules:
    return _core.Rules(1, schemas=[("T", 1, wide_schema())], type_modes={"T": mode})


def elements(count: int) -> bytes:
    return json.dumps({"l": [1] * count}).encode()


def test_what_takes_long_is_not_judged_where_others_wait() -> None:
    append = check(HEAVY, *[("T", b"{}")] * 3)
    assert (append.judged, append.refused, append.violations) == (False, [], [])
    append.check_again(HEAVY)
    assert append.judged
    [refused] = append.refused
    facts = refused.error.facts
    assert (refused.error.reason, facts["event_index"]) == ("MAPPING_FAILED", "0")
    assert facts["limit"] == str(LIMITS["evaluation_steps_max"])
    # What no heavy rule is about is judged at once.
    assert check(HEAVY, ("Other", b"{}")).judged
    assert check(rules(), ("T", b'{"a": 1}')).judged


def test_the_appends_of_a_session_share_what_may_be_done_at_once() -> None:
    message = pb.AppendSessionRequest()
    for number in range(20):
        one = message.appends.add(number=number)
        one.append.CopyFrom(request(("T", elements(1))))
    session = _core.SessionMessage(message.SerializeToString(), "me", None)
    taken = session.take(100, 10**6, False, wide_rules())
    judged = [append.judged for append in taken if isinstance(append, _core.Append)]
    assert len(judged) == 20
    assert judged.index(False) <= LIMITS["append_inline_steps_max"] // 8_000
    assert not any(judged[judged.index(False) :])


def test_other_threads_go_on_while_an_append_is_judged() -> None:
    append = check(wide_rules(), *[("T", elements(100))] * 3)
    assert not append.judged
    count, done = 0, threading.Event()

    def beat() -> None:
        nonlocal count
        while not done.is_set():
            count += 1

    other = threading.Thread(target=beat)
    other.start()
    try:
        before = count
        append.check_again(wide_rules())
        after = count
    finally:
        done.set()
        other.join()
    assert append.refused == []
    assert after - before > 100


@pytest.mark.parametrize("mode", [WARN, ENFORCE])
def test_one_budget_is_for_all_events_of_an_append(mode: int) -> None:
    in_force = wide_rules(mode)
    # Each event alone is far within its own limit.
    events = [("T", elements(300))] * 20
    alone = check(in_force, events[0])
    alone.check_again(in_force)
    assert alone.violations == []
    append = check(in_force, *events)
    append.check_again(in_force)
    first = append.violations[0]
    assert (first.rule, first.pointer) == ("limit", "")
    assert "append that takes too many steps" in first.message
    # As many as there are steps for.
    assert LIMITS["append_steps_max"] // 3_000_000 <= first.event_index
    assert first.event_index <= LIMITS["append_steps_max"] // (300 * 8_000)
    told = [violation.event_index for violation in append.violations]
    assert told == list(range(first.event_index, len(events)))
    assert [refused.error.reason for refused in append.refused] == (
        ["SCHEMA_VIOLATION"] if mode == ENFORCE else []
    )


def test_a_mapping_is_tried_with_what_the_schemas_leave() -> None:
    # The schema takes all, and only warns.
    mapping = _core.Mapping("mapping: M\ncomputed: {b: '1 + 1'}\n")
    schemas = [("T", 1, wide_schema())]
    wide = _core.Rules(1, schemas=schemas, type_modes={"T": WARN}, mappings=[mapping])
    events = [("T", elements(300))] * 20
    for others, refused in ([], []), (events, ["MAPPING_FAILED"]):
        append = check(wide, ("M", b"{}"), *others)
        append.check_again(wide)
        assert [one.error.reason for one in append.refused] == refused
    facts = append.refused[0].error.facts
    assert (facts["event_index"], facts["limit"]) == ("0", str(LIMITS["append_steps_max"]))


def test_a_schema_that_is_not_understood_concerns_its_own_type_alone() -> None:
    broken = _core.Schema.stored('{"type": "newer"}', [], False)
    with pytest.raises(_core.CoreError):
        _ = broken.digest
    in_force = _core.Rules(1, schemas=[("T", 2, broken), ("Other", 1, SCHEMA)])
    assert check(in_force, ("Other", b'{"a": 1}'), ("Third", b"{}")).refused == []
    [refused] = check(in_force, ("T", b"{}")).refused
    assert (refused.error.reason, refused.error.facts["rule"]) == ("SCHEMA_VIOLATION", "schema")
    assert "does not understand" in refused.error.facts["problem"]


def test_a_mode_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="mode"):
        _core.Rules(1, type_modes={"T": 4})
