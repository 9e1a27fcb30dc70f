"""Goal: the references that the core finds in metadata are those that any reader of JSON finds, and
every other `refs` is refused.

Method: random metadata, spelled in random ways, beside `json.loads`; an append whose type demands
its references tells what the core has found.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from eventfold import _core
from eventfold.v1 import appends_pb2 as pb

STRICT = _core.Rules(1, enforced_references=["Strict"])
REFERS = 8

IDS = [str(uuid.UUID(int=number)) for number in range(3)]
NAMES = ["user-1", "user-é", "$audit"]
WORDS = st.one_of(
    st.sampled_from(["refs", "events", "streams", '"refs"', "\\", *IDS, *NAMES]),
    st.sampled_from([id_.upper() for id_ in IDS]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4),
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        WORDS,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=8,
)
LISTS = st.fixed_dictionaries(
    {},
    optional={
        "events": st.lists(st.sampled_from([*IDS, *(id_.upper() for id_ in IDS)]), max_size=3),
        "streams": st.lists(st.sampled_from(NAMES), max_size=3),
    },
)
METADATA = st.dictionaries(WORDS, VALUES, max_size=3)


def found(metadata: bytes) -> tuple[list[str], list[str]] | None:
    """Events and streams; None: it is refused."""
    request = pb.AppendRequest(stream="a-1")
    request.expected_version.any.SetInParent()
    request.events.add(type="Strict", data=b"{}", metadata=metadata)
    try:
        append = _core.Append.of_request(request.SerializeToString(), "me", None, STRICT)
    except _core.CoreError as error:
        if (error.reason, error.facts["event_index"]) == ("INVALID_REFERENCES", "0"):
            return None
        raise
    references = append.references
    return ([], []) if references is None else (references.events, references.streams)


def is_name(name: str) -> bool:
    try:
        _core.check_stream_name(name, system=True)
    except _core.CoreError:
        return False
    return True


def expected(metadata: Any) -> tuple[list[str], list[str]] | None:
    if "refs" not in metadata:
        return [], []
    refs = metadata["refs"]
    if not isinstance(refs, dict) or refs.keys() - {"events", "streams"}:
        return None
    lists = refs.get("events", []), refs.get("streams", [])
    if not all(isinstance(texts, list) for texts in lists):
        return None
    if not all(isinstance(text, str) for texts in lists for text in texts):
        return None
    events, streams = [event.lower() for event in lists[0]], lists[1]
    if not (set(events) <= set(IDS) and all(is_name(name) for name in streams)):
        return None
    once = len(set(events)) == len(events) and len(set(streams)) == len(streams)
    return (events, streams) if once else None


def spelled(text: str, escapes: list[bool]) -> bytes:
    """The same JSON, in which some letters are spelled with escapes."""
    spelling = iter(escapes)
    letters = [
        f"\\u{ord(letter):04x}" if letter in "refstvn" and next(spelling, False) else letter
        for letter in text
    ]
    return "".join(letters).encode()


@given(METADATA, st.one_of(st.none(), LISTS, VALUES), st.booleans())
@example({"a": {"refs": 1}, '"refs"': '"refs":'}, None, False)
@example({}, {"events": [IDS[0], IDS[0].upper()]}, True)
def test_as_any_reader_of_json(metadata: dict[str, Any], refs: Any, ascii_only: bool) -> None:
    if refs is not None:
        metadata = {**metadata, "refs": refs}
    text = json.dumps(metadata, ensure_ascii=ascii_only)
    assert found(text.encode()) == expected(json.loads(text))


@given(LISTS, st.lists(st.booleans(), max_size=60))
def test_letters_may_be_spelled_with_escapes(refs: Any, escapes: list[bool]) -> None:
    # Outside of strings there is nothing to spell: these have no other letters.
    text = spelled(json.dumps({"refs": refs}, ensure_ascii=False), escapes)
    assert found(text) == expected(json.loads(text))
