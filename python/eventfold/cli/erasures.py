"""`eventfold privacy erase, erasures, receipt` and `eventfold privacy hold put, list, release`."""

import sys
from typing import Annotated, Any

import typer

from eventfold import Client, ErasureInfo, ErasurePlan, LegalHoldInfo
from eventfold.cli.connection import with_store
from eventfold.cli.failures import ExitCode
from eventfold.cli.output import AsJson, note, print_document, print_fields, print_json, print_table
from eventfold.cli.text import joined, time_text

holds = typer.Typer(
    help="Legal holds: what is neither erased nor deleted for now.", no_args_is_help=True
)

Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="The subject, as User-456.")]
Erasure = Annotated[str, typer.Argument(metavar="ERASURE", help="Id of the erasure.")]
Reason = Annotated[str, typer.Option(help="Why; it stays in the store, also in $audit.")]
WAIT_TIMEOUT_S = 3_600.0


def _job_fields(one: ErasureInfo) -> dict[str, Any]:
    return {
        "erasure_id": one.erasure_id,
        "subject_hash": one.subject_hash.hex(),
        "subject_id": one.subject_id,
        "state": one.state,
        "reason": one.reason,
        "keys_destroyed": one.keys_destroyed,
        "kept_states": one.kept_states,
        "rows": one.rows,
        "waiting": list(one.waiting),
        "requested_at": time_text(one.requested_at),
        "requested_by": one.requested_by,
        "ended_at": None if one.ended_at is None else time_text(one.ended_at),
    }


def _plan_fields(plan: ErasurePlan) -> dict[str, Any]:
    return {
        "active": plan.active,
        "subject_hash": plan.subject_hash.hex(),
        "key_versions": plan.key_versions,
        "position": plan.position,
        "digest": plan.digest,
        "events": {one.event_type: one.events for one in plan.events},
        "streams": plan.streams,
        "kept_states": plan.kept_states,
        "projections": [
            {
                "projection": one.projection,
                "generation": one.generation,
                "rebuilt": one.rebuilt,
            }
            for one in plan.projections
        ],
        "deleted": [one.stream for one in plan.deleted],
        "restrictions": [{"stream": one.stream, "owner": one.owner} for one in plan.restrictions],
        "detached": [{"stream": one.stream, "owner": one.owner} for one in plan.detached],
        "referrers": plan.referrers,
        "plaintext": [
            {
                "event_type": one.event_type,
                "category": one.category,
                "events": one.events,
                "until": one.until,
            }
            for one in plan.plaintext
        ],
        "holds": list(plan.holds),
    }


def _print_plan(plan: ErasurePlan) -> None:
    print_fields(
        [
            ("subject", plan.subject_hash.hex()),
            ("keys", plan.key_versions),
            ("up to position", plan.position),
            ("events", sum(one.events for one in plan.events)),
            ("of types", joined(f"{one.event_type} ({one.events})" for one in plan.events)),
            ("in streams", plan.streams),
            ("kept states", plan.kept_states),
            (
                "projections",
                joined(
                    f"{one.projection}#{one.generation}" + (" (built anew)" if one.rebuilt else "")
                    for one in plan.projections
                ),
            ),
            ("streams deleted", joined(one.stream for one in plan.deleted)),
            ("forbidden by", joined(one.stream for one in plan.restrictions)),
            ("links dropped", joined(one.stream for one in plan.detached)),
            ("referrers", plan.referrers),
            ("legal holds", joined(plan.holds)),
            ("digest", plan.digest),
        ]
    )
    for one in plan.plaintext:
        of = one.event_type or f"category {one.category}"
        note(
            f"warning: {one.events} events of {of} up to position {one.until} hold plaintext, "
            "which stays: copy them into new streams and delete the old ones"
        )


def erase(
    store: Client,
    subject: Subject,
    reason: Reason = "",
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    request_id: Annotated[str, typer.Option(help="A UUID: the same again is one erasure.")] = "",
    as_json: AsJson = False,
) -> None:
    """Erase a subject: destroy its keys, and what was made of its personal values. It cannot be
    taken back.
    """
    found = store.plan_erase(subject)
    if plan:
        if as_json:
            print_json(_plan_fields(found))
        else:
            _print_plan(found)
        return
    if not reason:
        raise typer.BadParameter("say why, with --reason")
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("say --yes, or --plan")
        _print_plan(found)
        typer.confirm("Erase it for good?", abort=True, err=True)
    job = store.erase(
        subject,
        reason=reason,
        request_id=request_id,
        plan_digest="" if yes else found.digest,
    )
    if not as_json:
        note(f"erasure {job.erasure_id} has begun")
    job = store.wait_erasure(job.erasure_id, timeout=WAIT_TIMEOUT_S)
    if as_json:
        print_json(_job_fields(job))
    else:
        print_fields(_job_fields(job).items())


def erasures(
    store: Client,
    subject: Annotated[str, typer.Option(help="Only those of this subject.")] = "",
    open_only: Annotated[bool, typer.Option("--open", help="Only those not done.")] = False,
    as_json: AsJson = False,
) -> None:
    """List erasures, the newest first."""
    found = store.list_erasures(subject=subject, open_only=open_only)
    if as_json:
        for one in found:
            print_json(_job_fields(one))
        return
    rows = (
        (one.state, time_text(one.requested_at), one.requested_by, one.erasure_id, one.reason)
        for one in found
    )
    if print_table(["state", "requested", "by", "erasure", "reason"], rows) == 0:
        note("no erasures")


def receipt(store: Client, erasure: Erasure) -> None:
    """Print the receipt of an erasure: what went, where, when, and what is left.

    The exit code is 1 if it is not done.
    """
    found = store.get_receipt(erasure)
    if found is None:
        note(f"erasure {erasure} is {store.get_erasure(erasure).state}")
        raise typer.Exit(ExitCode.REFUSED)
    print_document(found.source)


def _hold_fields(one: LegalHoldInfo) -> dict[str, Any]:
    return {
        "name": one.name,
        "subject_hash": None if one.subject_hash is None else one.subject_hash.hex(),
        "stream": one.stream,
        "reason": one.reason,
        "put_at": time_text(one.put_at),
        "put_by": one.put_by,
    }


@holds.command("put")
@with_store
def put_hold(
    store: Client,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the hold.")],
    reason: Reason,
    subject: Annotated[str | None, typer.Option(help="The subject to hold.")] = None,
    stream: Annotated[str | None, typer.Option(help="The stream to hold.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hold a subject or a stream: it is neither erased nor deleted until that is released."""
    if (subject is None) == (stream is None):
        raise typer.BadParameter("name a --subject or a --stream")
    found = store.put_legal_hold(name, subject=subject, stream=stream, reason=reason)
    if as_json:
        print_json(_hold_fields(found))
    else:
        print_fields(_hold_fields(found).items())


@holds.command("list")
@with_store
def list_holds(store: Client, as_json: AsJson = False) -> None:
    """List legal holds in byte order of their names."""
    found = store.list_legal_holds()
    if as_json:
        for one in found:
            print_json(_hold_fields(one))
        return
    rows = (
        (
            one.name,
            one.stream or f"subject {one.subject_hash.hex() if one.subject_hash else ''}",
            time_text(one.put_at),
            one.put_by,
            one.reason,
        )
        for one in found
    )
    if print_table(["hold", "of", "put", "by", "reason"], rows) == 0:
        note("no legal holds")


@holds.command("release")
@with_store
def release_hold(
    store: Client,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the hold.")],
    as_json: AsJson = False,
) -> None:
    """Release a legal hold."""
    store.release_legal_hold(name)
    if as_json:
        print_json({"name": name})
    else:
        note(f"{name} is released")


def register(app: typer.Typer) -> None:
    """Adds these commands to `eventfold privacy`."""
    for command in (erase, erasures, receipt):
        app.command(command.__name__)(with_store(command))
    app.add_typer(holds, name="hold")
