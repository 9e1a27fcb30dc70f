"""Goal: every statement is found, filled in whole, and used.

Method: the file of statements and the code of the storage, read as text.
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
from eventfold_server.storage.queries import Queries, migrations, quote_identifier, schema_sql

STORAGE = Path(eventfold_server.storage.__file__).parent
FILES = ("queries.sql", "projections.sql")
NAMES = [
    name
    for file in FILES
    for name in re.findall(r"^-- name: (\w+)$", (STORAGE / "sql" / file).read_text(), re.MULTILINE)
]
# What `projection_table.py` fills in.
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
}
# {schema}, {page}: a brace with a word; `'{}'` and `'{%'` are SQL.
OPEN = re.compile(r"\{[a-z_]+\}")


@pytest.mark.parametrize("name", NAMES)
def test_a_statement_is_filled_in_whole(name: str) -> None:
    text = Queries("a_schema")[name]
    assert {name[1:-1] for name in OPEN.findall(text)} <= OF_A_TABLE
    assert not text.startswith("--")
    assert text.endswith(";")
    assert text.count(";") == 1


def test_names_are_used_once_each_and_all_of_them() -> None:
    assert len(set(NAMES)) == len(NAMES)
    code = "".join(path.read_text() for path in STORAGE.glob("*.py"))
    used = {name for name in NAMES if f'"{name}"' in code}
    # The rest of the store's row is for a later RPC.
    assert set(NAMES) - used == {"store"}
    with pytest.raises(KeyError):
        Queries("s")["nothing"]


def test_migrations_are_dense_and_filled_in() -> None:
    found = migrations()
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
