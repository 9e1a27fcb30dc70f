"""What queries of projections return, and what they are asked with."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, cast

from eventfold._errors import EventfoldError
from eventfold._json import Numbers, decode
from eventfold._models import Convert, ModelT_co
from eventfold._projections import ParkedKey, stopped_of
from eventfold._requests import texts, whole
from eventfold.v1 import projections_pb2 as pb


def order_to_wire(order: Iterable[str]) -> list[pb.RowOrder]:
    """The columns to order by; a leading `-` is descending.

    Raises:
        TypeError: it is a single text.
    """
    if isinstance(order, str):
        raise TypeError("order must be several columns, not one text")
    return [
        pb.RowOrder(column=column.removeprefix("-"), descending=column.startswith("-"))
        for column in order
    ]


def query_request(
    name: str,
    filter: str,
    order: Iterable[str],
    columns: Iterable[str],
    at_least_position: int,
    page_size: int,
) -> pb.QueryProjectionRequest:
    """A query of its first page."""
    return pb.QueryProjectionRequest(
        name=name,
        filter=filter,
        order=order_to_wire(order),
        columns=texts(columns, "columns"),
        at_least_position=whole(at_least_position, "at_least_position"),
        page_size=page_size,
    )


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh the rows of an answer are.

    Attributes:
        generation: number of the generation that answered.
        position: position up to which all events are in the rows.
        head: position of the newest event of the log; all between the two may be of other sources.
        stopped: why the projection does not go on; None: it does.
        parked_keys: number of keys whose rows are old, since their events are parked.
    """

    generation: int
    position: int
    head: int
    stopped: EventfoldError | None
    parked_keys: int

    @classmethod
    def _from_wire(cls, fresh: pb.Freshness) -> "Freshness":
        return cls(
            generation=fresh.generation,
            position=fresh.position,
            head=fresh.head,
            stopped=stopped_of(fresh),
            parked_keys=fresh.parked_keys,
        )


@dataclass(frozen=True)
class ProjectionRow(Generic[ModelT_co]):
    """A row of a projection.

    Attributes:
        key: its key.
        version: version, in its stream, of the last event that touched it.
        position: position of that event in the log.
        columns_json: JSON object of its columns, in the order of the document.
        erased: names of columns that are None because their value was erased.
        withheld: names of columns that are None because the caller may not see personal values.
    """

    key: str
    version: int
    position: int
    columns_json: bytes
    _numbers: Numbers = field(default="decimal", repr=False, compare=False)
    _convert: Convert | None = field(default=None, repr=False, compare=False)
    erased: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> ModelT_co:
        """The columns by name, or as an object of `into`, decoded when they are first touched.

        Columns that are NULL are None. Dates, times and UUIDs are text, unless `into` says more.

        Raises:
            StateMismatch: they do not fit the class that was named by `into`.
        """
        if self._convert is not None:
            return cast(ModelT_co, self._convert(self.columns_json))
        return cast(ModelT_co, decode(self.columns_json, self._numbers))

    @classmethod
    def _from_wire(
        cls, row: pb.ProjectionRow, numbers: Numbers, convert: Convert | None
    ) -> "ProjectionRow[Any]":
        return ProjectionRow(
            row.key,
            row.version,
            row.position,
            row.columns,
            numbers,
            convert,
            tuple(row.erased),
            tuple(row.withheld),
        )


@dataclass(frozen=True, slots=True)
class ProjectionPage(Generic[ModelT_co]):
    """A page of rows.

    Attributes:
        rows: the rows in the order that was asked for.
        next_page_token: asks for the next page; empty: this is the last.
        freshness: how fresh they are.
    """

    rows: tuple[ProjectionRow[ModelT_co], ...]
    next_page_token: str
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class ProjectionCount:
    """The number of rows that pass a filter.

    Attributes:
        rows: how many.
        freshness: how fresh that is.
    """

    rows: int
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class ProjectionTrial(Generic[ModelT_co]):
    """What a document made of events; nothing of it is kept.

    Attributes:
        rows: the first rows in the order that was asked for.
        rows_passing: rows that pass the filter, whether they are among `rows` or not.
        rows_shown: rows that `where` shows.
        rows_hidden: rows that `where` hides.
        events: events that were folded.
        position: position up to which events were looked at.
        head: position of the newest event of the log.
        stopped: why folding ended at the event behind `position`; None: it did not fail.
        parked: keys that were parked, as the document says; the first 100.
    """

    rows: tuple[ProjectionRow[ModelT_co], ...]
    rows_passing: int
    rows_shown: int
    rows_hidden: int
    events: int
    position: int
    head: int
    stopped: EventfoldError | None
    parked: tuple[ParkedKey, ...]

    @classmethod
    def _from_wire(
        cls, found: pb.TryProjectionResponse, numbers: Numbers, convert: Convert | None
    ) -> "ProjectionTrial[Any]":
        rows = (ProjectionRow._from_wire(row, numbers, convert) for row in found.rows)
        return ProjectionTrial(
            rows=tuple(rows),
            rows_passing=found.rows_passing,
            rows_shown=found.rows_shown,
            rows_hidden=found.rows_hidden,
            events=found.events,
            position=found.position,
            head=found.head,
            stopped=stopped_of(found),
            parked=tuple(ParkedKey._from_wire(one) for one in found.parked),
        )
