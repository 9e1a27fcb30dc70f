"""The table of a generation: its name, and its statements with the columns of the document."""

from collections.abc import Collection

from eventfold import _core
from eventfold_server.storage.database import Database
from eventfold_server.storage.queries import Queries, quote_identifier

# Arguments of `projection_upsert` before those of the columns.
_UPSERT_ARGUMENTS = 5


class ProjectionTable:
    """The statements of a generation's table. Names come from a document that was checked, and are
    quoted all the same; nothing else of it gets into a statement.
    """

    def __init__(
        self,
        queries: Queries,
        generation_no: int,
        document: _core.Projection,
        sealed: Collection[str] = (),
    ) -> None:
        """`sealed`: names of the columns whose values are sealed."""
        self._queries = queries
        self._generation_no = generation_no
        # Name and type of each column.
        self._columns: list[tuple[str, str]] = [
            (name, self._sealed_type if name in sealed else kind) for name, kind in document.columns
        ]
        self._indexes: list[list[str]] = document.indexes

    @property
    def _sealed_type(self) -> str:
        return f"{quote_identifier(self._queries.schema)}.sealed_text"

    @property
    def name(self) -> str:
        """The table with its schema, quoted."""
        return table_name(self._queries.schema, self._generation_no)

    def create(self) -> list[str]:
        """Statements that make the table and its indexes, in order."""
        statements = [
            self._filled(
                "projection_table",
                definitions="".join(
                    f",\n    {quote_identifier(name)} {kind}" for name, kind in self._columns
                ),
            )
        ]
        statements += [
            self._filled(
                "projection_index",
                index=quote_identifier(f"projection_{self._generation_no}_{number}"),
                indexed=", ".join(quote_identifier(name) for name in columns),
            )
            for number, columns in enumerate(self._indexes, 1)
        ]
        return statements

    def drop(self) -> str:
        """The statement that drops the table, if it is there."""
        return self._filled("drop_projection_table")

    @property
    def shown(self) -> str:
        """The query that the view of the projection is made of."""
        names = "".join(f", {quote_identifier(name)}" for name, _ in self._columns)
        return self._filled("projection_shown", names=names).rstrip(";")

    @property
    def analyze(self) -> str:
        """The statement that gathers statistics."""
        return self._filled("analyze_projection")

    @property
    def rows(self) -> str:
        """The statement that loads rows by their keys."""
        return self._filled("projection_rows")

    @property
    def upsert(self) -> str:
        """The statement that writes rows."""
        names = [quote_identifier(name) for name, _ in self._columns]
        numbered = list(enumerate(self._columns, 1))
        return self._filled(
            "projection_upsert",
            names="".join(f", {name}" for name in names),
            values="".join(f", a.c{number}::{kind}" for number, (_, kind) in numbered),
            arrays="".join(f", ${_UPSERT_ARGUMENTS + number}::text[]" for number, _ in numbered),
            aliases="".join(f", c{number}" for number, _ in numbered),
            assignments="".join(f", {name} = excluded.{name}" for name in names),
        )

    @property
    def sample(self) -> str:
        """The statement that counts rows, and answers some of them."""
        texts = "".join(f", t.{quote_identifier(name)}::text" for name, _ in self._columns)
        return self._filled("projection_sample", texts=texts)

    @property
    def spelled(self) -> str:
        """The statement that answers columns, which come as texts, as their types spell them."""
        return self._filled(
            "projection_spelled",
            spelled=", ".join(f"(a.c{number}::{kind})::text" for number, kind in self._numbered()),
            arrays="".join(f", ${1 + number}::text[]" for number, _ in self._numbered()),
            aliases="".join(f", c{number}" for number, _ in self._numbered()),
        )

    def _numbered(self) -> list[tuple[int, str]]:
        return [(number, kind) for number, (_, kind) in enumerate(self._columns, 1)]

    @property
    def delete(self) -> str:
        """The statement that removes rows by their keys."""
        return self._filled("projection_delete")

    @property
    def remove_keys(self) -> str:
        """The statement that removes rows by their keys under a lease, and unparks these."""
        return self._filled("projection_remove_keys")

    @property
    def refold_keys(self) -> str:
        """The statement that removes rows by their keys under a lease, and parks these."""
        return self._filled("projection_refold_keys")

    def _filled(self, statement: str, **parts: str) -> str:
        text = self._queries[statement]
        for name, part in {"table": self.name, **parts}.items():
            text = text.replace("{" + name + "}", part)
        return text


async def sealed_columns(database: Database, generation_no: int) -> list[str]:
    """Names of the columns of a generation's table whose values are sealed."""
    queries = database.queries
    async with database.reading() as connection:
        rows = await connection.fetch(
            queries["sealed_columns"], table_name(queries.schema, generation_no)
        )
    return [row["name"] for row in rows]


def table_name(schema: str, generation_no: int) -> str:
    """The table of a generation with its schema, quoted."""
    return f"{quote_identifier(schema)}.{quote_identifier(f'projection_{generation_no}')}"
