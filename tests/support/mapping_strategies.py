"""Mapping documents and texts of events for the model, drawn by Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st
from tests.support.mapping_model import Document

KEYS = st.sampled_from(["a", "b", "c", "é", "a.b", 'q"\\', "\n\x7f"])
PATHS = st.lists(KEYS, min_size=1, max_size=3).map(tuple)
LITERALS = st.recursive(
    st.sampled_from([0, -7, "", "x", 'é"\n', True, None]),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(KEYS, inner, max_size=2)),
    max_leaves=3,
)
EXPRESSIONS = st.one_of(
    st.tuples(st.just("literal"), LITERALS),
    st.tuples(st.just("field"), PATHS),
    st.tuples(st.just("maybe"), KEYS),
    st.just(("none",)),
)
DOCUMENTS = st.builds(
    Document,
    renames=st.dictionaries(PATHS, PATHS, max_size=3),
    defaults=st.dictionaries(PATHS, LITERALS, max_size=3),
    computed=st.dictionaries(PATHS, EXPRESSIONS, max_size=2),
)

SPACES = st.sampled_from(["", "", " ", "\n\t"])
NUMBERS = ["0", "-0", "1.50", "1E+2", "12345678901234567890123"]
STRINGS = ['""', '"x"', '"\\u0041\\/\\n"', '"\\ud83d\\ude00"', '"é,]}"']
SCALARS = st.sampled_from([*NUMBERS, *STRINGS, "null", "true"])


@st.composite
def _key(draw: st.DrawFn, key: str) -> str:
    """A way to spell a key."""
    text = ""
    for character in key:
        plain = character.isprintable() and character not in '"\\'
        text += character if plain and draw(st.booleans()) else f"\\u{ord(character):04X}"
    return f'"{text}"'


@st.composite
def _object(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    members = []
    for key in draw(st.lists(KEYS, unique=True, max_size=4)):
        parts = [draw(SPACES), draw(_key(key)), draw(SPACES), ":", draw(SPACES), draw(values)]
        members.append("".join([*parts, draw(SPACES)]))
    return "{" + (",".join(members) if members else draw(SPACES)) + "}"


@st.composite
def _array(draw: st.DrawFn, values: st.SearchStrategy[str]) -> str:
    return "[" + ",".join(draw(st.lists(values, max_size=3))) + draw(SPACES) + "]"


VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(_object(inner), _object(inner), _array(inner)), max_leaves=12
)
TEXTS = st.tuples(SPACES, _object(VALUES), SPACES).map("".join)
