"""Goal: every statement is found, filled in whole, and used.

Method: the files of statements and the code of the storage, read as text.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventfold_server.storage
from eventfold_server.storage.database import Database
from eventfold_server.storage.preparing import StorageRefused
from eventfold_server.storage.queries import (
    FENCE_LEDGER_FILES,
    FILES,
    KEY_STORE_FILES,
    Queries,
    migrations,
    parse_statements,
    quote_identifier,
    schema_sql,
)

STORAGE = Path(eventfold_server.storage.__file__).parent
NAMES = [
    name
    for file in dict.fromkeys((*FILES, *KEY_STORE_FILES, *FENCE_LEDGER_FILES))
    for name in re.findall(r"^-- name: (\w+)$", (STORAGE / "sql" / file).read_text(), re.MULTILINE)
]
# What `projection_table.py` and `projection_rows.py` fill in.
OF_A_TABLE = {
    "table",
    "definitions",
    "index",
    "indexed",
    "names",
    "values",
    "arrays",
    "aliases",
    "assignments",
    "condition",
    "branches",
    "bytes",
    "json",
    "place",
    "spelled",
    "branch",
    "order",
    "texts",
}
# {schema}, {page}: a brace with a word; `'{}'` and `'{%'` are SQL.
OPEN = re.compile(r"\{[a-z_]+\}")


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_is_filled_in_whole(name: str) -> None:
    text = next(
        queries[name]
        for files in (FILES, KEY_STORE_FILES, FENCE_LEDGER_FILES)
        if name in (queries := Queries("a_schema", files))
    )
    assert {name[1:-1] for name in OPEN.findall(text)} <= OF_A_TABLE
    assert not text.startswith("--")
    if name != "queried_branch":  # A part of `queried_rows`.
        assert text.endswith(";")
        assert text.count(";") == 1


def test_names_are_used_once_each_and_all_of_them() -> None:
    assert len(set(NAMES)) == len(NAMES)
    code = "".join(path.read_text() for path in STORAGE.rglob("*.py"))
    # Of some statements there are variants, whose names the code makes of theirs.
    suffixes = [suffix for suffix in ("_marked", "_skipping") if f'}}{suffix}"' in code]
    assert len(suffixes) == 2
    plain = {name for name in NAMES if f'"{name}"' in code}
    used = plain | {f"{name}{suffix}" for name in plain for suffix in suffixes}
    assert set(NAMES) == used & set(NAMES)
    with pytest.raises(KeyError):
        Queries("s")["nothing"]


@pytest.mark.parametrize("kind", ["name", "fragment"])
def test_a_name_that_stands_twice_is_refused(kind: str) -> None:
    one, other = f"-- {kind}: one\nSELECT 1;\n", f"-- {kind}: other\nSELECT 2;\n"
    with pytest.raises(ValueError, match=f"^two {kind}s are named one$"):
        parse_statements([one + other + one])
    with pytest.raises(ValueError, match=f"^two {kind}s are named one$"):
        parse_statements([one, other, one])
    # A statement may be named as a fragment is.
    texts = ["-- fragment: one\n1\n-- name: one\nSELECT {one};\n", "-- name: other\nSELECT 2;\n"]
    assert parse_statements(texts) == {"one": "SELECT 1;", "other": "SELECT 2;"}


@pytest.mark.parametrize("folder", ["migrations", "key_store", "fence_ledger"])
def test_migrations_are_dense_and_filled_in(folder: str) -> None:
    found = migrations(folder)
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    for text in [*(one.sql("a_schema") for one in found), schema_sql("a_schema")]:
        assert not OPEN.search(text)
        assert '"a_schema"' in text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_a_quoted_name_is_one_name(name: str) -> None:
    quoted = quote_identifier(name)
    assert quoted[0] == quoted[-1] == '"'
    assert quoted[1:-1].replace('""', "") == name.replace('"', "")
    assert quoted[1:-1].count('"') % 2 == 0


@pytest.mark.parametrize("schema", ["", "1a", "a-b", "a b", 'a"b', "ä", "a" * 64, "a\n", "$a"])
def test_a_schema_has_a_plain_name(schema: str) -> None:
    with pytest.raises(StorageRefused, match="schema name"):
        Database("postgresql://127.0.0.1/none", schema)
