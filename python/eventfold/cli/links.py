"""`eventfold links list, put, drop, rules, put-rule, drop-rule`."""

from typing import Annotated, Any

import typer

from eventfold import Client, Link, LinkPolicy, LinkRule
from eventfold.cli.connection import with_store
from eventfold.cli.output import AsJson, note, print_json, print_table
from eventfold.cli.text import time_text

app = typer.Typer(help="Which stream belongs to which.", no_args_is_help=True)

_Stream = Annotated[str, typer.Argument(metavar="STREAM", help="What belongs to the other.")]
_Owner = Annotated[str, typer.Argument(metavar="OWNER", help="The stream that it belongs to.")]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the rule.")]
_Policy = Annotated[
    LinkPolicy, typer.Option(help="What becomes of the stream when its owner is deleted.")
]


@app.command("list")
@with_store
def list_links(
    store: Client,
    stream: Annotated[str, typer.Option(help="Only links of this stream.")] = "",
    owner: Annotated[str, typer.Option(help="Only links to this owner.")] = "",
    as_json: AsJson = False,
) -> None:
    """List links; those of equal ids where a stream or an owner is named."""
    found = store.list_links(stream=stream, owner=owner)
    if as_json:
        for one in found:
            print_json(_link_fields(one))
        return
    rows = ((one.policy.value, one.rule or "(by hand)", one.stream, one.owner) for one in found)
    if print_table(["policy", "rule", "stream", "owner"], rows) == 0:
        note("no links")


@app.command("put")
@with_store
def put(store: Client, stream: _Stream, owner: _Owner, policy: _Policy) -> None:
    """Link a stream to its owner by hand."""
    store.put_link(stream, owner, policy=policy)


@app.command("drop")
@with_store
def drop(store: Client, stream: _Stream, owner: _Owner) -> None:
    """Drop a link that was put by hand."""
    store.drop_link(stream, owner)


@app.command("rules")
@with_store
def rules(store: Client, as_json: AsJson = False) -> None:
    """List the rules that links follow from, and how far they are."""
    found = store.list_link_rules()
    if as_json:
        for one in found:
            print_json(_rule_fields(one))
        return
    rows = ((one.policy.value, _progress(one), one.name, _says(one)) for one in found)
    if print_table(["policy", "position", "rule", "says"], rows) == 0:
        note("no rules")


@app.command("put-rule")
@with_store
def put_rule(
    store: Client,
    name: _Name,
    policy: _Policy,
    event_type: Annotated[
        str | None, typer.Option("--type", help="Events of this type name the owner.")
    ] = None,
    pointer: Annotated[
        str | None, typer.Option(help="Where the owner stands in their data, such as /userId.")
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="Streams of this category belong to those of --of.")
    ] = None,
    of: Annotated[str | None, typer.Option("--of", help="Category of the owners.")] = None,
    as_json: AsJson = False,
) -> None:
    """Store a rule, in place of the one of this name."""
    if (event_type is None) == (category is None) or (event_type is None) != (pointer is None):
        raise typer.BadParameter("say --type and --pointer, or --category and --of")
    if category is not None and of is None:
        raise typer.BadParameter("say --of with --category")
    rule = store.put_link_rule(
        name, policy=policy, event_type=event_type, pointer=pointer, category=category, of=of
    )
    if as_json:
        print_json(_rule_fields(rule))
    else:
        note(f"{rule.name}: {_says(rule)}")


@app.command("drop-rule")
@with_store
def drop_rule(store: Client, name: _Name) -> None:
    """Drop a rule, and the links that followed from it."""
    store.drop_link_rule(name)


def _progress(rule: LinkRule) -> str:
    return "" if rule.event_type is None else f"{rule.position} of {rule.head}"


def _says(rule: LinkRule) -> str:
    if rule.event_type is None:
        return f"{rule.category} belongs to {rule.of} of the same id"
    owner = "a stream" if rule.of is None else f"an id of {rule.of}"
    return f"{rule.event_type} names {owner} at {rule.pointer}"


def _link_fields(one: Link) -> dict[str, Any]:
    return {
        "stream": one.stream,
        "owner": one.owner,
        "policy": one.policy.value,
        "rule": one.rule,
        "position": one.position,
        "put_at": time_text(one.put_at),
        "put_by": one.put_by,
    }


def _rule_fields(one: LinkRule) -> dict[str, Any]:
    return {
        "name": one.name,
        "policy": one.policy.value,
        "event_type": one.event_type,
        "pointer": one.pointer,
        "category": one.category,
        "of": one.of,
        "position": one.position,
        "head": one.head,
        "unreadable": one.unreadable,
        "put_at": time_text(one.put_at),
        "put_by": one.put_by,
    }
