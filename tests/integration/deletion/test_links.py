"""Goal: links follow from events, from equal ids and from people's hands; a deletion walks them by
their policies, and sees every event that was stored before it.

Method: the SDK against a real server.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.integration.deletion.conftest import Names
from tests.support.database import connected

import eventfold
from eventfold import EXISTS, Client, Event, Lifecycle, LinkPolicy
from eventfold_server.limits import (
    DELETION_STREAMS_MAX,
    LINK_POINTER_BYTES_MAX,
    LINK_RULE_NAME_BYTES_MAX,
)

SOON_S = 30.0


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def begin(store: Client, *streams: str) -> None:
    for stream in streams:
        store.append(stream, [Event("Begun", {})], expected_version=0)


def lifecycles(store: Client, *streams: str) -> list[Lifecycle]:
    return [store.get_stream(stream).lifecycle for stream in streams]


def delete(store: Client, stream: str) -> eventfold.DeletionInfo:
    begun = store.delete_stream(stream, expected_version=EXISTS, reason="x")
    return store.wait_deletion(begun.deletion_id, timeout=60)


def test_events_say_who_the_owner_is(store: Client, names: Names) -> None:
    user, account, other = names("User", 7), names("Account", 1), names("Account", 2)
    begin(store, user)
    opened = f"Opened{names.drawn}"
    store.append(account, [Event(opened, {"holders": [{"id": 7}]})], expected_version=0)
    rule = store.put_link_rule(
        names("r"), policy="cascade", event_type=opened, pointer="/holders/*/id", of=names("User")
    )
    assert (rule.event_type, rule.pointer, rule.of) == (opened, "/holders/*/id", names("User"))
    until(lambda: {one.name: one for one in store.list_link_rules()}[rule.name].position > 0)
    # Stored a moment before: the plan sees it all the same.
    holders = [{"id": "7"}, {"id": ""}, {"id": {"no": 1}}, {}]
    store.append(other, [Event(opened, {"holders": holders})], expected_version=0)
    plan = store.plan_delete(user)
    assert {one.stream: (one.owner, one.rule) for one in plan.streams} == {
        user: (None, None),
        account: (user, rule.name),
        other: (user, rule.name),
    }
    found = {one.name: one for one in store.list_link_rules()}[rule.name]
    assert (found.unreadable, found.position) == (1, plan.position)
    links = list(store.list_links(owner=user, page_size=1))
    assert [(one.stream, one.rule, one.policy) for one in links] == [
        (account, rule.name, LinkPolicy.CASCADE),
        (other, rule.name, LinkPolicy.CASCADE),
    ]
    assert [one.owner for one in store.list_links(stream=other)] == [user]
    assert delete(store, user).streams == 3
    assert lifecycles(store, user, account, other) == [Lifecycle.DELETED] * 3


def test_whole_names_and_escaped_pointers(store: Client, names: Names) -> None:
    user, note = names("User", "a-b"), names("Note", 1)
    begin(store, user)
    type_ = f"Noted{names.drawn}"
    store.put_link_rule(names("r"), policy="detach", event_type=type_, pointer="/a~1b/~0c/0")
    store.append(note, [Event(type_, {"a/b": {"~c": [user]}})], expected_version=0)
    plan = store.plan_delete(user)
    assert [one.stream for one in plan.streams] == [user]
    assert [(one.stream, one.owner) for one in plan.detached] == [(note, user)]
    delete(store, user)
    assert lifecycles(store, user, note) == [Lifecycle.DELETED, Lifecycle.OPEN]
    assert list(store.list_links(stream=note)) == []


def test_equal_ids_belong_together(store: Client, names: Names) -> None:
    public, private, alone = (names("UserPublic", 1), names("UserPrivate", 1),
                              names("UserPrivate", 2))  # fmt: skip
    begin(store, public, private, alone)
    rule = store.put_link_rule(
        names("r"), policy="cascade", category=names("UserPrivate"), of=names("UserPublic")
    )
    assert (rule.category, rule.of, rule.event_type) == (
        names("UserPrivate"), names("UserPublic"), None
    )  # fmt: skip
    assert [one.stream for one in store.list_links(owner=public)] == [private]
    assert [one.owner for one in store.list_links(stream=private)] == [public]
    delete(store, public)
    assert lifecycles(store, private, alone) == [Lifecycle.DELETED, Lifecycle.OPEN]
    # The other way round nothing follows.
    assert [one.stream for one in store.plan_delete(alone).streams] == [alone]


def test_restrict_forbids_until_its_stream_is_gone(store: Client, names: Names) -> None:
    user, order, account = names("User", 1), names("Order", 1), names("Account", 1)
    begin(store, user, order, account)
    store.put_link(account, user, policy="cascade")
    store.put_link(order, account, policy=LinkPolicy.RESTRICT)
    plan = store.plan_delete(user)
    assert [(one.stream, one.owner) for one in plan.restrictions] == [(order, account)]
    with pytest.raises(eventfold.DeletionRestricted) as refused:
        store.delete_stream(user, expected_version=EXISTS, reason="x")
    assert (refused.value.count, refused.value.streams) == (1, order)
    assert lifecycles(store, user, account) == [Lifecycle.OPEN] * 2
    # What goes anyway forbids nothing.
    store.put_link(order, user, policy="cascade")
    assert len(store.plan_delete(user).streams) == 3
    store.drop_link(order, user)
    with pytest.raises(eventfold.LinkNotFound):
        store.drop_link(order, user)
    delete(store, order)
    assert delete(store, user).streams == 2


def test_circles_end(store: Client, names: Names) -> None:
    ring = [names("Ring", number) for number in range(5)]
    begin(store, *ring)
    for one, other in zip(ring, ring[1:] + ring[:1], strict=True):
        store.put_link(one, other, policy="cascade")
    assert delete(store, ring[2]).streams == 5


def test_a_plan_that_was_agreed_to_is_held_to(store: Client, names: Names) -> None:
    user, account = names("User", 1), names("Account", 1)
    begin(store, user, account)
    plan = store.plan_delete(user)
    store.put_link(account, user, policy="cascade")
    with pytest.raises(eventfold.DeletionPlanMoved) as moved:
        store.delete_stream(user, expected_version=EXISTS, reason="x", plan_digest=plan.digest)
    now = store.plan_delete(user)
    assert moved.value.plan_digest == now.digest != plan.digest
    store.delete_stream(user, expected_version=EXISTS, reason="x", plan_digest=now.digest)


def test_a_rule_says_something_else(store: Client, names: Names) -> None:
    user, account = names("User", 1), names("Account", 1)
    begin(store, user)
    type_, name = f"Opened{names.drawn}", names("r")
    store.append(account, [Event(type_, {"a": 2, "b": 1})], expected_version=0)
    rule = {"event_type": type_, "of": names("User")}
    store.put_link_rule(name, policy="detach", pointer="/a", **rule)
    assert not store.plan_delete(user).detached
    store.put_link_rule(name, policy="detach", pointer="/b", **rule)
    assert len(store.plan_delete(user).detached) == 1
    store.put_link_rule(name, policy="cascade", pointer="/b", **rule)
    assert len(store.plan_delete(user).streams) == 2
    store.drop_link_rule(name)
    assert len(store.plan_delete(user).streams) == 1
    with pytest.raises(eventfold.LinkNotFound):
        store.drop_link_rule(name)


def test_limits_and_wrong_rules(store: Client, names: Names) -> None:
    longest = (names("r") + "x" * LINK_RULE_NAME_BYTES_MAX)[:LINK_RULE_NAME_BYTES_MAX]
    pointer = "/" + "x" * (LINK_POINTER_BYTES_MAX - 1)
    good = {"policy": "detach", "event_type": "T", "pointer": pointer}
    store.put_link_rule(longest, **good)
    store.drop_link_rule(longest)
    for name, changed in (
        (longest + "x", {}),
        ("", {}),
        ("r", {"pointer": pointer + "x"}),
        ("r", {"pointer": "a"}),
        ("r", {"pointer": "/~2"}),
        ("r", {"event_type": ""}),
        ("r", {"event_type": "x" * 129}),
        ("r", {"of": "a-b"}),
    ):
        with pytest.raises(eventfold.InvalidRequest):
            store.put_link_rule(name, **{**good, **changed})
    with pytest.raises(eventfold.InvalidRequest):
        store.put_link_rule("r", policy="detach", category="A", of="A")
    with pytest.raises(eventfold.InvalidRequest):
        store.put_link(names("User", 1), names("User", 1), policy="detach")
    with pytest.raises(TypeError):
        store.put_link_rule("r", policy="detach", event_type="T")


def test_who_waits_for_links_is_told(store: Client, names: Names, deletion_url: str) -> None:
    user, rule = names("User", 1), names("r")
    begin(store, user)
    store.put_link_rule(rule, policy="cascade", event_type="T", pointer="/a", of=names("User"))
    with connected(deletion_url) as connection, connection.transaction():
        connection.execute("SELECT FROM deletion.link_rules WHERE name = %s FOR UPDATE", (rule,))
        begin(store, names("User", 2))
        with pytest.raises(eventfold.LinksBehind) as refused:
            store.plan_delete(user)
    assert refused.value.link_rule == rule
    assert len(store.plan_delete(user).streams) == 1


def test_a_deletion_takes_so_many_streams(store: Client, names: Names, deletion_url: str) -> None:
    user, streams = names("User", 1), [names("S", number) for number in range(1000)]
    begin(store, user)
    for start in range(0, 1000, 500):
        store.append_many(
            [(stream, [Event("Begun", {})], 0) for stream in streams[start : start + 500]]
        )
    with connected(deletion_url) as connection:
        connection.execute(
            "INSERT INTO deletion.links (stream, owner, policy, put_by)"
            " SELECT unnest(%s::text[]), %s, 1, 'test'",
            (streams, user),
        )
    with pytest.raises(eventfold.DeletionTooLarge) as refused:
        store.delete_stream(user, expected_version=EXISTS, reason="x")
    assert refused.value.limit == DELETION_STREAMS_MAX
    store.drop_link(streams[0], user)
    assert len(store.plan_delete(user).streams) == DELETION_STREAMS_MAX
    done = delete(store, user)
    assert (done.streams, done.events_emptied) == (1000, 1000)
    assert len(list(store.list_deleted_streams(done.deletion_id, page_size=300))) == 1000


def test_the_private_half_goes_alone(store: Client, names: Names) -> None:
    public, private, order = names("UserPublic", 1), names("UserPrivate", 1), names("Order", 1)
    fold = {
        "fold": "user",
        "initial": {"log": []},
        "handlers": {
            "Joined": {"log": "state.log + [event.plan]"},
            "Named": {"log": "state.log + [event.name]"},
        },
    }
    first, second = store.append_pair(
        (public, [Event("Joined", {"plan": "free"})], 0),
        (private, [Event("Named", {"name": "Ada"})], 0),
    )
    assert second.positions[0] == first.positions[0] + 1
    store.append_pair(
        (public, [Event("Joined", {"plan": "paid"})], 1),
        (private, [Event("Named", {"name": "Eve"})], 1),
    )
    with pytest.raises(eventfold.ChecksFailed):
        store.append_pair((public, [Event("Joined", {})], 2), (private, [Event("Named", {})], 1))
    joined = next(iter(store.read(public)))
    refs = {"refs": {"events": [joined.id], "streams": [public]}}
    store.append(order, [Event("Placed", {}, metadata=refs)], expected_version=0)
    union = store.hydrate_union(public, private, fold=fold)
    assert union.state == {"log": ["free", "Ada", "paid", "Eve"]}
    assert (union.public_version, union.private_version) == (2, 2)
    assert store.hydrate_union(names("A", 1), names("B", 1), fold=fold).state == {"log": []}

    delete(store, private)
    left = store.hydrate_union(public, private, fold=fold)
    assert left.state == {"log": ["free", "paid"]}
    assert (left.public_version, left.private_version) == (2, None)
    [event] = store.read(order)
    resolved = store.get_references(event)
    assert resolved.events[joined.id].event is not None
    assert resolved.streams[public].lifecycle is Lifecycle.OPEN
