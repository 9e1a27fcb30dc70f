"""`eventfold types list, show, set, mode`."""

from itertools import islice
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from eventfold import Client, EventTypeInfo
from eventfold.cli.connection import with_store
from eventfold.cli.failures import ExitCode, Failure
from eventfold.cli.output import AsJson, note, print_fields, print_json, print_table
from eventfold.cli.text import joined, time_text

# The names of writers that a row has room for.
_WRITERS_SHOWN = 3


class _Listing(TyperGroup):
    """A group that lists where no command is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Names the command that was left out."""
        is_listing = not args or (args[0].startswith("-") and args[0] not in ("-h", "--help"))
        return super().parse_args(ctx, ["list", *args] if is_listing else args)


app = typer.Typer(cls=_Listing, help="Event types: what is known of them; alone it lists them.")

_Name = Annotated[str, typer.Argument(metavar="TYPE", help="The event type.")]
_Mode = Literal["default", "off", "warn", "enforce"]
_ReferenceMode = Literal["default", "off", "enforce"]


def _fields(one: EventTypeInfo) -> dict[str, Any]:
    return {
        "name": one.name,
        "description": one.description,
        "replaced_by": one.replaced_by,
        "replaces": list(one.replaces),
        "schema_mode": one.schema_mode,
        "references": one.references,
        "schema_revision": one.schema_revision,
        "schema_digest": one.schema_digest,
        "mapping_revision": one.mapping_revision,
        "mapping_digest": one.mapping_digest,
        "events": one.events,
        "violations": one.violations,
        "first_position": one.first_position,
        "last_position": one.last_position,
        "first_recorded_at": time_text(one.first_recorded_at) or None,
        "last_recorded_at": time_text(one.last_recorded_at) or None,
        "writers": [
            {
                "writer": writer.writer,
                "events": writer.events,
                "last_recorded_at": time_text(writer.last_recorded_at),
            }
            for writer in one.writers
        ],
        "writers_count": one.writers_count,
        "personal": list(one.personal),
        "position": one.position,
        "head": one.head,
    }


def _writers(one: EventTypeInfo) -> str:
    names = [writer.writer for writer in one.writers[:_WRITERS_SHOWN]]
    if (more := one.writers_count - len(names)) > 0:
        names.append(f"{more:,} more")
    return joined(names)


def _counted(one: EventTypeInfo) -> str:
    """Position up to which events are counted, and the head if that has not come so far."""
    if one.head <= one.position:
        return str(one.position)
    return f"{one.position} of {one.head}; the server goes on, ask again later"


def _revision(number: int) -> int | str:
    return number or ""


def _row(one: EventTypeInfo) -> tuple[object, ...]:
    schema = str(_revision(one.schema_revision))
    if one.schema_mode != "default":
        schema = f"{schema} {one.schema_mode}".lstrip()
    return (
        one.events,
        one.violations or "",
        time_text(one.first_recorded_at),
        time_text(one.last_recorded_at),
        _writers(one),
        schema,
        _revision(one.mapping_revision),
        one.name,
        one.replaced_by or "",
    )


_COLUMNS = [
    "events",
    "violations",
    "first",
    "last",
    "writers",
    "schema",
    "mapping",
    "type",
    "replaced by",
]


@app.command("list")
@with_store
def list_types(
    store: Client,
    prefix: Annotated[str, typer.Option(help="Only types whose name starts with this.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="Most types to list; 0: no limit.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List all event types that are stored, described, or have a schema or a mapping."""
    last: EventTypeInfo | None = None

    def rows(found: EventTypeInfo) -> tuple[object, ...]:
        nonlocal last
        last = found
        return _row(found)

    listed = islice(store.list_event_types(prefix=prefix), limit or None)
    if as_json:
        for found in listed:
            print_json(_fields(found))
    elif print_table(_COLUMNS, map(rows, listed)) == 0 or last is None:
        note("no event types")
    else:
        note(f"counted up to position {_counted(last)}")


@app.command("show")
@with_store
def show(store: Client, type: _Name, as_json: AsJson = False) -> None:
    """Say all that is known of an event type."""
    # The first name with a prefix is the prefix itself, if there is such a name.
    found = next(iter(store.list_event_types(prefix=type, page_size=1)), None)
    if found is None or found.name != type:
        raise Failure(
            "EVENT_TYPE_NOT_FOUND",
            "no event of this type is stored, and nothing was said of it",
            ExitCode.NOT_FOUND,
            {"type": type},
        )
    if as_json:
        print_json(_fields(found))
    else:
        _print(found)


@app.command("set")
@with_store
def set_type(
    store: Client,
    type: _Name,
    description: Annotated[
        str | None, typer.Option(help="What happened when there is such an event.")
    ] = None,
    replaced_by: Annotated[
        str | None,
        typer.Option(metavar="TYPE", help="The type that is written instead; empty: none."),
    ] = None,
    mode: Annotated[
        _Mode | None,
        typer.Option(help="What becomes of events that do not fit; default: as of the category."),
    ] = None,
    references: Annotated[
        _ReferenceMode | None,
        typer.Option(help="Whether what its events refer to must be there."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is to be known of an event type; what is left out stays as it was."""
    if description is None and replaced_by is None and mode is None and references is None:
        raise typer.BadParameter("say --description, --replaced-by, --mode or --references")
    found = store.put_event_type(
        type,
        description=description,
        replaced_by=replaced_by,
        schema_mode=mode,
        references=references,
    )
    if as_json:
        print_json(_fields(found))
    else:
        _print(found)


def _print(one: EventTypeInfo) -> None:
    fields = _fields(one)
    if one.position == 0:
        # The answer has no counts.
        counted = ("events", "violations", "first_position", "last_position", "writers_count")
        fields |= dict.fromkeys(counted) | {"position": None}
    else:
        fields["position"] = _counted(one)
    fields |= {
        "replaces": joined(one.replaces),
        "writers": joined(f"{writer.writer} ({writer.events:,})" for writer in one.writers),
        "personal": joined(one.personal),
        "schema_revision": _revision(one.schema_revision),
        "mapping_revision": _revision(one.mapping_revision),
        "first_position": _revision(one.first_position),
        "last_position": _revision(one.last_position),
        "head": None,
    }
    titles = {"position": "counted up to"}
    print_fields(
        (titles.get(name, name.replace("_", " ")), value) for name, value in fields.items()
    )


@app.command("mode")
@with_store
def mode(
    store: Client,
    category: Annotated[
        str | None, typer.Argument(metavar="[CATEGORY]", help="The category.")
    ] = None,
    mode: Annotated[
        _Mode | None,
        typer.Argument(metavar="[MODE]", help="off, warn, enforce; default: nothing is said."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what becomes of events of a category that do not fit, unless their type says otherwise;
    without a category, list what was said.
    """
    if category is not None and mode is not None:
        found = [store.put_category(category, schema_mode=mode)]
    elif category is None:
        found = list(store.list_categories())
    else:
        raise typer.BadParameter("name the mode too: default, off, warn or enforce")
    if as_json:
        for one in found:
            print_json({"name": one.name, "schema_mode": one.schema_mode})
    elif print_table(["mode", "category"], ((one.schema_mode, one.name) for one in found)) == 0:
        note("nothing was said of any category")
