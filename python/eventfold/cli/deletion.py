"""`eventfold delete` and `eventfold deletions`."""

from typing import Annotated, Any

import typer

from eventfold import Client, CutLink, DeletedStream, DeletionInfo, DeletionPlan
from eventfold.cli.connection import with_store
from eventfold.cli.failures import ExitCode
from eventfold.cli.output import AsJson, note, print_fields, print_json, print_table, progress_bar
from eventfold.cli.text import time_text
from eventfold.cli.values import expected_version

# Whoever waits sees how far it is, and ends it with Ctrl-C; the deletion goes on.
_WAIT_TIMEOUT_S = 30 * 86_400.0

_Wait = Annotated[bool, typer.Option("--wait", help="Wait until nothing is left.")]


@with_store
def delete(
    store: Client,
    stream: Annotated[str, typer.Argument(metavar="STREAM", help="Name of the stream.")],
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what would go; nothing is deleted.")
    ] = False,
    expected: Annotated[
        str | None,
        typer.Option("--expected", metavar="VERSION", help="A number, `exists` or `any`."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it stays in the store.")] = "",
    digest: Annotated[
        str, typer.Option("--digest", help="Digest of the plan that was agreed to.")
    ] = "",
    wait: _Wait = False,
    as_json: AsJson = False,
) -> None:
    """Delete what the events of a stream hold, and of all that belongs to it.

    With --plan the exit code is 1 if a stream that stays forbids it.
    """
    if plan:
        _print_plan(store.plan_delete(stream), as_json)
        return
    if expected is None or not reason:
        raise typer.BadParameter("say --expected and --reason, or --plan")
    begun = store.delete_stream(
        stream, expected_version=expected_version(expected), reason=reason, plan_digest=digest
    )
    _tell(store, begun, wait=wait, as_json=as_json)


@with_store
def deletions(
    store: Client,
    deletion_id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Id of a deletion.")
    ] = None,
    stream: Annotated[
        str, typer.Option("--stream", help="Only the one that has deleted this stream.")
    ] = "",
    streams: Annotated[
        bool, typer.Option("--streams", help="With ID: list the streams that it deletes.")
    ] = False,
    wait: _Wait = False,
    as_json: AsJson = False,
) -> None:
    """List deletions, the newest first, or describe one."""
    if deletion_id is None:
        _list(store, stream, as_json)
    elif streams:
        _print_streams(store.list_deleted_streams(deletion_id), as_json)
    else:
        _tell(store, store.get_deletion(deletion_id), wait=wait, as_json=as_json)


def _list(store: Client, stream: str, as_json: bool) -> None:
    found = store.list_deletions(stream=stream)
    if as_json:
        for one in found:
            print_json(_fields(one))
        return
    rows = (
        (one.deletion_id, time_text(one.requested_at), one.streams, one.state, one.stream)
        for one in found
    )
    if print_table(["deletion", "requested", "streams", "state", "stream"], rows) == 0:
        note("no deletions")


def _tell(store: Client, one: DeletionInfo, *, wait: bool, as_json: bool) -> None:
    if wait:
        with progress_bar(f"Deletion of {one.stream}", None) as steps:

            def show(now: DeletionInfo) -> None:
                waits = f", waits for {', '.join(now.waiting)}" if now.waiting else ""
                steps.show(now.events_emptied, now.events, now.state + waits)

            one = store.wait_deletion(one.deletion_id, on_progress=show, timeout=_WAIT_TIMEOUT_S)
    if as_json:
        print_json(_fields(one))
        return
    fields = [
        ("deletion", one.deletion_id),
        ("stream", one.stream),
        ("reason", one.reason),
        ("state", one.state),
        ("streams", f"{one.streams:,}"),
        ("events", f"{one.events_emptied:,} of {one.events:,} are empty"),
        ("dropped", f"{one.kept_states:,} kept states, {one.rows:,} rows of projections"),
        ("requested", f"{time_text(one.requested_at)} by {one.requested_by}"),
    ]
    if one.waiting:
        fields.append(("waits for", ", ".join(one.waiting)))
    if one.ended_at is not None:
        fields.append(("done", time_text(one.ended_at)))
    print_fields(fields)


def _fields(one: DeletionInfo) -> dict[str, Any]:
    return {
        "deletion_id": one.deletion_id,
        "stream": one.stream,
        "reason": one.reason,
        "state": one.state,
        "plan_digest": one.plan_digest,
        "streams": one.streams,
        "events": one.events,
        "events_emptied": one.events_emptied,
        "kept_states": one.kept_states,
        "rows": one.rows,
        "waiting": list(one.waiting),
        "requested_at": time_text(one.requested_at),
        "requested_by": one.requested_by,
        "emptied_at": time_text(one.emptied_at) or None,
        "ended_at": time_text(one.ended_at) or None,
    }


def _print_plan(plan: DeletionPlan, as_json: bool) -> None:
    if as_json:
        print_json(_plan_fields(plan))
    else:
        _print_streams(plan.streams, as_json=False)
        print()
        print_fields(
            [
                ("streams", f"{len(plan.streams):,}"),
                ("events", f"{plan.events:,}"),
                ("kept states", f"{plan.kept_states:,}"),
                ("referrers", f"{plan.referrers:,} events of other streams"),
                ("position", plan.position),
                ("digest", plan.digest),
            ]
        )
        for cut in plan.detached:
            note(f"{cut.stream} stays, and belongs to {cut.owner} no more")
        for one in plan.projections:
            how = "is built anew" if one.rebuilt else "drops its rows"
            note(f"generation {one.generation} of projection {one.projection} {how}")
        for stream in plan.copies:
            note(f"{stream} stays, and holds copies of events that go")
        for cut in plan.restrictions:
            note(f"{cut.stream} belongs to {cut.owner}, and forbids the deletion")
    if plan.restrictions:
        raise typer.Exit(ExitCode.REFUSED)


def _plan_fields(plan: DeletionPlan) -> dict[str, Any]:
    return {
        "stream": plan.stream,
        "position": plan.position,
        "digest": plan.digest,
        "streams": [_stream_fields(one) for one in plan.streams],
        "restrictions": [_cut_fields(one) for one in plan.restrictions],
        "detached": [_cut_fields(one) for one in plan.detached],
        "events": plan.events,
        "kept_states": plan.kept_states,
        "projections": [
            {"projection": one.projection, "generation": one.generation, "rebuilt": one.rebuilt}
            for one in plan.projections
        ],
        "referrers": plan.referrers,
        "copies": list(plan.copies),
    }


def _stream_fields(one: DeletedStream) -> dict[str, Any]:
    return {
        "stream": one.stream,
        "root": one.root,
        "version": one.version,
        "owner": one.owner,
        "rule": one.rule,
    }


def _cut_fields(one: CutLink) -> dict[str, Any]:
    return {
        "stream": one.stream,
        "owner": one.owner,
        "rule": one.rule,
        "policy": one.policy.value,
    }


def _print_streams(streams: Any, as_json: bool) -> None:
    if as_json:
        for one in streams:
            print_json(_stream_fields(one))
        return
    print_table(
        ["version", "stream", "belongs to", "by"],
        ((one.version, one.stream, one.owner or "", one.rule or "") for one in streams),
    )
