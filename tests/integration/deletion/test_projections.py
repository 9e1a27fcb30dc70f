"""Goal: nothing of a deleted stream is left in the rows of projections, whatever their keys, also
in those that are built, parked, stopped or on standby.

Method: the SDK against a real server; each projection is compared with a fold from scratch after.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.integration.deletion.conftest import Names

from eventfold import EXISTS, Client, Event

SOON_S = 60.0


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def document(name: str, category: str, key: str, **more: object) -> dict[str, object]:
    return {
        "projection": name,
        "source": {"category": category},
        "key": key,
        "initial": {"names": [], "events": 0},
        "handlers": {
            "Named": {"names": "state.names + [event.name]", "events": "state.events + 1"}
        },
        "columns": {"names": "jsonb", "events": "bigint"},
        **more,
    }


def fill(store: Client, names: Names) -> str:
    """Four streams of one category; the name of one of them."""
    for number in range(1, 5):
        store.append(
            names("User", number),
            [Event("Named", {"name": f"n{number}", "town": number % 2}) for _ in range(3)],
            expected_version=0,
        )
    return names("User", 1)


def ready(store: Client, name: str) -> None:
    position = next(event.position for event in store.read_all(direction="backwards", limit=1))
    store.query_projection_page(name, at_least_position=position, timeout=30)


def rows(store: Client, name: str) -> dict[str, object]:
    return {row.key: row.columns["names"] for row in store.query_projection(name)}


def delete(store: Client, stream: str) -> tuple[int, tuple[bool, ...]]:
    plan = store.plan_delete(stream)
    begun = store.delete_stream(stream, expected_version=EXISTS, reason="x")
    done = store.wait_deletion(begun.deletion_id, timeout=60)
    assert done.waiting == ()
    return done.rows, tuple(one.rebuilt for one in plan.projections)


def check(store: Client, name: str) -> None:
    found = store.verify_projection(name)
    assert found.keys_differing == 0
    assert found.table_checksum == found.fold_checksum


def test_rows_of_streams_and_roots_are_dropped(store: Client, names: Names) -> None:
    stream = fill(store, names)
    by_stream, by_root = f"s{names.drawn}", f"r{names.drawn}"
    store.close_stream(stream, successor=names("User", "1~2"))
    store.append(names("User", "1~2"), [Event("Named", {"name": "x"})], expected_version=EXISTS)
    store.put_projection(document(by_stream, names("User"), "meta.stream"))
    store.put_projection(document(by_root, names("User"), "meta.root"))
    for name in (by_stream, by_root):
        ready(store, name)
    assert (len(rows(store, by_stream)), len(rows(store, by_root))) == (5, 4)
    assert delete(store, stream) == (3, (False, False))
    for name in (by_stream, by_root):
        assert set(rows(store, name)) == {names("User", number) for number in (2, 3, 4)}
        check(store, name)
    # It goes on with the log.
    store.append(names("User", 2), [Event("Named", {"name": "z"})], expected_version=3)
    ready(store, by_stream)
    assert rows(store, by_stream)[names("User", 2)] == ["n2", "n2", "n2", "z"]


def test_other_keys_are_built_anew(store: Client, names: Names) -> None:
    stream = fill(store, names)
    name = f"t{names.drawn}"
    store.put_projection(document(name, names("User"), "string(event.town)"))
    ready(store, name)
    assert rows(store, name)["1"] == ["n1", "n1", "n1", "n3", "n3", "n3"]
    assert delete(store, stream) == (0, (True,))
    assert rows(store, name) == {"0": ["n2"] * 3 + ["n4"] * 3, "1": ["n3"] * 3}
    found = store.get_projection(name)
    # The old generation, which has what is deleted, is gone.
    assert [one.generation for one in found.generations] == [2]
    check(store, name)


def test_generations_that_have_read_nothing_of_it_stay(store: Client, names: Names) -> None:
    stream = fill(store, names)
    other = f"o{names.drawn}"
    store.put_projection(document(other, names("Else"), "string(event.town)"))
    ready(store, other)
    assert delete(store, stream) == (0, ())
    assert [one.generation for one in store.get_projection(other).generations] == [1]


def test_parked_keys_go_too(store: Client, names: Names) -> None:
    stream, name = fill(store, names), f"p{names.drawn}"
    store.append(stream, [Event("Named", {"name": 1, "bad": True})], expected_version=3)
    handlers = {"Named": {"names": "event.?bad.orValue(false) ? [1 / int('x')] : [event.name]"}}
    put = {**document(name, names("User"), "meta.stream"), "handlers": handlers}
    store.put_projection({**put, "on_error": "park"})
    until(lambda: [one.key for one in store.list_parked_keys(name)] == [stream])
    delete(store, stream)
    assert list(store.list_parked_keys(name)) == []
    assert stream not in rows(store, name)


def test_a_fold_from_scratch_leaves_out_what_was_deleted(store: Client, names: Names) -> None:
    stream, name = fill(store, names), f"l{names.drawn}"
    store.wait_deletion(
        store.delete_stream(stream, expected_version=EXISTS, reason="x").deletion_id, timeout=60
    )
    for key in ("meta.stream", "string(event.town)"):
        kind = f"{name}{len(key)}"
        store.put_projection(document(kind, names("User"), key))
        ready(store, kind)
        assert "n1" not in str(rows(store, kind))
        check(store, kind)
