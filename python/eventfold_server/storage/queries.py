"""Loads the statements of the files in `sql`, and the migrations, for one schema."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

# A line `-- name: x` begins a statement, `-- fragment: x` what stands for {x} in those behind it,
# in the files behind too. {schema} is the quoted name of the store's schema, {query_schema} that of
# the views of projections.
_NAME = re.compile(r"^-- (name|fragment): (\w+)$", re.MULTILINE)
FILES = (
    "store.sql",
    "log.sql",
    "kept_states.sql",
    "folds.sql",
    "groups.sql",
    "generations.sql",
    "events.sql",
    "references.sql",
    "lines.sql",
    "event_types.sql",
    "privacy.sql",
    "projections.sql",
    "projection_rows.sql",
    "projection_refolds.sql",
    "transforms.sql",
    "privacy_leases.sql",
    "links.sql",
    "deletions.sql",
    "subject_index.sql",
    "erasures.sql",
    "subjects.sql",
)
# Of the key store, whose schema is another.
KEY_STORE_FILES = ("store.sql", "keys.sql")
# Of a ledger of fences in a table, whose schema is another again.
FENCE_LEDGER_FILES = ("store.sql", "ledger.sql")
_MIGRATION = re.compile(r"^(\d{3})_(pre|post)_\w+\.sql$")


def quote_identifier(name: str) -> str:
    """The name as SQL spells it, in quotes: any name is safe in a statement."""
    return '"' + name.replace('"', '""') + '"'


def query_schema(schema: str) -> str:
    """Name of the schema that holds the views of projections."""
    return f"{schema}_query"


def _read(name: str) -> str:
    return resources.files(__package__).joinpath("sql", name).read_text(encoding="utf-8")


def _without_comments(text: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return "\n".join(lines).strip()


@cache
def _templates(files: tuple[str, ...]) -> dict[str, str]:
    """Statements by name of files."""
    return parse_statements(_read(name) for name in files)


def parse_statements(texts: Iterable[str]) -> dict[str, str]:
    """Statements by name, fragments filled in; `{schema}` is still open, and what
    `projection_table.py` and `projection_rows.py` fill in. Raises ValueError for a name that
    stands there twice.
    """
    parts = [part for text in texts for part in _NAME.split(text)[1:]]
    fragments: dict[str, str] = {}
    statements: dict[str, str] = {}
    for kind, name, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        filled = text
        for fragment, filling in fragments.items():
            filled = filled.replace("{" + fragment + "}", filling)
        kinds = fragments if kind == "fragment" else statements
        if name in kinds:
            # One of them would silently stand for the other.
            raise ValueError(f"two {kind}s are named {name}")
        kinds[name] = _without_comments(filled)
    return statements


class Queries:
    """The statements of one store, by name, with the name of its schema filled in."""

    def __init__(self, schema: str, files: tuple[str, ...] = FILES) -> None:
        self.schema = schema
        names = {
            "{schema}": quote_identifier(schema),
            "{query_schema}": quote_identifier(query_schema(schema)),
        }
        self._texts = {}
        for name, text in _templates(files).items():
            filled = text
            for placeholder, quoted in names.items():
                filled = filled.replace(placeholder, quoted)
            self._texts[name] = filled

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __contains__(self, name: str) -> bool:
        return name in self._texts


@dataclass(frozen=True)
class Migration:
    """One step of the schema; steps are applied in order of their numbers, each once."""

    number: int
    name: str
    template: str

    @property
    def digest(self) -> str:
        """SHA-256 of the file, lower-case hexadecimal."""
        return hashlib.sha256(self.template.encode()).hexdigest()

    def sql(self, schema: str) -> str:
        """The statements for the schema."""
        return self.template.replace("{schema}", quote_identifier(schema))


def migrations(of: str = "migrations") -> list[Migration]:
    """All migrations of a folder in order, which are dense from 1; by default those of the log."""
    folder = resources.files(__package__).joinpath("sql", of)
    found = [
        Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8"))
        for entry in folder.iterdir()
        if (match := _MIGRATION.match(entry.name))
    ]
    found.sort(key=lambda migration: migration.number)
    assert [migration.number for migration in found] == list(range(1, len(found) + 1))
    return found


def schema_sql(schema: str) -> str:
    """The whole schema in one script, equal to all migrations together: the files of the folder in
    the order of their numbers.

    They are what a reader should read. {schema} stands for the quoted name of the store's schema;
    every name is qualified with it, so that no search_path is needed behind a pooler.
    """
    folder = resources.files(__package__).joinpath("sql", "schema")
    files = sorted(folder.iterdir(), key=lambda entry: entry.name)
    text = "\n".join(entry.read_text(encoding="utf-8") for entry in files)
    return text.replace("{schema}", quote_identifier(schema))
