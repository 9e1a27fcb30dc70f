"""`eventfold streams` and `eventfold stream`."""

from itertools import islice
from typing import Annotated, Any

import typer

from eventfold import Client, Lifecycle, StreamInfo, StreamNotFound
from eventfold.cli.connection import with_store
from eventfold.cli.output import AsJson, note, print_fields, print_json, print_table
from eventfold.cli.text import time_text

_PAGE_STREAMS_MAX = 1000


def stream_fields(stream: StreamInfo) -> dict[str, Any]:
    """All of a stream."""
    return {
        "name": stream.name,
        "category": stream.category,
        "id": stream.id,
        "version": stream.version,
        "lifecycle": stream.lifecycle.value,
        "root": stream.root,
        "predecessor": stream.predecessor,
        "successor": stream.successor,
        "created_at": time_text(stream.created_at),
    }


@with_store
def streams(
    store: Client,
    category: Annotated[str, typer.Option(help="Only streams of this category.")] = "",
    prefix: Annotated[str, typer.Option(help="Only names that start with this.")] = "",
    lifecycle: Annotated[
        Lifecycle | None, typer.Option(help="Only streams of this lifecycle.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most streams to list; 0: no limit.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List streams in byte order of their names."""
    found = store.list_streams(
        category=category,
        prefix=prefix,
        lifecycle=lifecycle,
        page_size=min(limit + 1, _PAGE_STREAMS_MAX) if limit else _PAGE_STREAMS_MAX,
    )
    listed = islice(found, limit) if limit else found
    if as_json:
        for stream in listed:
            print_json(stream_fields(stream))
        return
    count = print_table(
        ["version", "lifecycle", "created", "stream"],
        ((one.version, one.lifecycle.value, time_text(one.created_at), one.name) for one in listed),
    )
    if count == 0:
        note("no streams")
    elif limit and next(found, None) is not None:
        note(f"there are more: --limit is {limit}")


@with_store
def stream(
    store: Client,
    name: Annotated[str, typer.Argument(metavar="STREAM", help="Name, category-id.")],
    as_json: AsJson = False,
) -> None:
    """Describe a stream: version, lifecycle, the periods before and after it."""
    found = store.get_stream(name)
    if not found.exists:
        raise StreamNotFound("the stream never had an event", {"stream": name})
    if as_json:
        print_json(stream_fields(found))
    else:
        print_fields(stream_fields(found).items())
