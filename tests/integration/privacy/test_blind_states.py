"""Goal: who may not see personal values gets none in states, by whatever call, and all else of
them.

Method: a real server with two tokens; every call that gives states is made with both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.privacy.guarded import BLIND, CANARY, SEES, client, declare, guarded
from tests.support.servers import RunningServer

from eventfold import Client, Event, EventfoldError, PersonalWithheld


@pytest.fixture(scope="module")
def server(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with guarded(tmp_path_factory.mktemp("blind"), postgres, "blind") as started:
        yield started


@pytest.fixture
def sees(server: RunningServer) -> Iterator[Client]:
    with client(server, SEES) as made:
        yield made


@pytest.fixture
def blind(server: RunningServer) -> Iterator[Client]:
    with client(server, BLIND) as made:
        yield made


def fold(kind: str, name: str = "f") -> dict[str, Any]:
    return {
        "fold": name,
        "initial": {"n": 0, "mail": {"last": None, "all": []}},
        "keep": {"every": 1},
        "handlers": {
            kind: {
                "n": "state.n + 1",
                "mail.last": "event.email",
                "mail.all": "state.mail.all + [event.email]",
            }
        },
    }


def states_of(found: Any) -> tuple[Any, tuple[str, ...]]:
    return found.state, found.withheld_paths


OPENED = ({"n": 1, "mail": {"last": CANARY, "all": [CANARY]}}, ())
HIDDEN = ({"n": 1, "mail": {"last": None, "all": [None]}}, ("/mail/last", "/mail/all/0"))


def hydrated(store: Client, stream: str, ref: Any) -> Any:
    category, _, id_ = stream.partition("-")
    return store.hydrate(category, id_, fold=ref)


def history(store: Client, stream: str, ref: Any) -> Any:
    category, _, id_ = stream.partition("-")
    [state] = store.hydrate_history(category, id_, fold=ref)
    return state


def watched(store: Client, stream: str, ref: Any) -> Any:
    with store.watch(stream, fold=ref) as states:
        return next(iter(states))


CALLS: dict[str, Callable[[Client, str, Any], Any]] = {
    "hydrate": hydrated,
    "many": lambda store, stream, ref: store.hydrate_many([stream], fold=ref)[stream],
    "history": history,
    "watch": watched,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_states_come_by_the_permission(sees: Client, blind: Client, kind: str, call: Any) -> None:
    declare(sees, kind, "email")
    sees.put_fold(fold(kind, f"f{kind}"))
    document = f"f{kind}"
    sees.append(f"{kind}-1", [Event(kind, {"email": CANARY})], expected_version=0)
    for store, expected in ((sees, OPENED), (blind, HIDDEN), (sees, OPENED), (blind, HIDDEN)):
        assert states_of(call(store, f"{kind}-1", document)) == expected


# What a fold that comes with the call can tell of a value that it does not give.
TELLING = [
    "event.email",
    "event.email.startsWith('c')",
    "size(event.email)",
    "event.email == 'x' ? 1 : 2",
    "['a', 'b', 'c'].filter(c, event.email.contains(c))",
    "event",
]


def checked(store: Client, stream: str, ref: Any) -> Any:
    store.check_fold(ref, stream.partition("-")[0])


def histories(store: Client, stream: str, ref: Any) -> Any:
    category, _, id_ = stream.partition("-")
    return list(store.hydrate_history(category, id_, fold=ref))


def explained(store: Client, stream: str, ref: Any) -> Any:
    category, _, id_ = stream.partition("-")
    return list(store.explain(category, id_, fold=ref))


def closed(store: Client, stream: str, ref: Any) -> Any:
    store.close_stream(stream, expected_version=1, folds=[ref], successor=f"{stream}@2")


TELLING_CALLS = CALLS | {"check": checked, "explain": explained, "close": closed}


@pytest.mark.parametrize("expression", TELLING)
@pytest.mark.parametrize("call", TELLING_CALLS.values(), ids=TELLING_CALLS)
def test_whoever_may_not_see_them_has_no_fold_of_ones_own_read_them(
    sees: Client, blind: Client, kind: str, call: Any, expression: str
) -> None:
    declare(sees, kind, "email")
    sees.append(f"{kind}-1", [Event(kind, {"email": CANARY, "n": 1})], expected_version=0)
    telling = {"fold": "f", "initial": {"x": 0}, "handlers": {kind: {"x": expression}}}
    with pytest.raises(PersonalWithheld) as refused:
        call(blind, f"{kind}-1", telling)
    assert refused.value.facts["field"] == "email"
    counting = {"fold": "f", "initial": {"x": 0}, "handlers": {kind: {"x": "state.x + event.n"}}}
    call(blind, f"{kind}-1", counting)
    if call is not closed:
        call(sees, f"{kind}-1", telling)


@pytest.mark.parametrize("call", [explained, hydrated, histories, checked])
def test_rules_that_a_server_has_not_heard_of_yet_hold_there(
    server: RunningServer,
    sees: Client,
    postgres: str,
    kind: str,
    tmp_path: Path,
    call: Any,
) -> None:
    same = {name: server.options[name] for name in ("master_key_file", "fence_ledger")}
    own = fold(kind, f"f{kind}")
    sees.put_fold(own)
    with guarded(tmp_path, postgres, "blind", **same) as other, client(other, BLIND) as blind:
        sees.append(f"{kind}-1", [Event(kind, {"email": "plain"})], expected_version=0)
        # By the rules that were there when it began.
        call(blind, f"{kind}-1", own)
        declare_plaintext = {"privacy": kind, "personal": {"/email": None}}
        sees.put_privacy_rules(declare_plaintext, existing="plaintext")
        sees.append(f"{kind}-1", [Event(kind, {"email": CANARY})], expected_version=1)
        # What is registered first: for a document of its own the server asks what is in force.
        for ref in (f"f{kind}", own):
            try:
                found = call(blind, f"{kind}-1", ref)
            except PersonalWithheld:
                continue
            assert CANARY not in repr(found)


def test_a_projection_is_tried_without_what_the_caller_may_not_see(
    sees: Client, blind: Client, kind: str
) -> None:
    declare(sees, kind, "email")
    sees.append(f"{kind}-1", [Event(kind, {"email": CANARY, "n": 1})], expected_version=0)
    document = {
        "projection": f"p_{kind.lower()}",
        "source": {"category": kind},
        "initial": {"email": None, "n": 0},
        "handlers": {kind: {"email": "event.email", "n": "event.n"}},
        "columns": {"email": {"type": "text", "plaintext": "accepted"}, "n": "integer"},
    }
    for accepting in (document, document | {"plaintext": "accepted"}):
        [row] = sees.try_projection(accepting).rows
        assert row.columns == {"email": CANARY, "n": 1}
        [row] = blind.try_projection(accepting).rows
        assert row.columns == {"email": None, "n": 1}
    for store in (sees, blind):
        with pytest.raises(EventfoldError) as refused:
            store.try_projection(document | {"key": "event.email"})
        assert refused.value.reason == "PERSONAL_COLUMN"
    tried = blind.try_projection(
        document | {"key": "event.email", "plaintext": "accepted", "on_error": "park"}
    )
    assert CANARY not in repr(tried)


def test_what_was_sealed_is_withheld_without_rules(sees: Client, blind: Client, kind: str) -> None:
    declare(sees, kind, "email")
    sees.append(f"{kind}-1", [Event(kind, {"email": CANARY})], expected_version=0)
    sees.put_fold(fold(kind, f"f{kind}"))
    sees.drop_privacy_rules(kind)
    for store, expected in ((sees, OPENED), (blind, HIDDEN), (sees, OPENED)):
        assert states_of(hydrated(store, f"{kind}-1", f"f{kind}")) == expected


def test_a_carried_state_is_withheld(sees: Client, blind: Client, kind: str) -> None:
    declare(sees, kind, "email")
    first, second = f"{kind}-1", f"{kind}-1@2"
    sees.append(first, [Event(kind, {"email": CANARY})], expected_version=0)
    sees.put_fold(fold(kind, f"f{kind}"))
    sees.close_stream(first, expected_version=1, successor=second, folds=[f"f{kind}"])
    assert states_of(hydrated(sees, second, f"f{kind}")) == OPENED
    assert states_of(hydrated(blind, second, f"f{kind}")) == HIDDEN
    # What takes it from the opening event itself gets at nothing else.
    taking: Any = {
        "fold": f"g{kind}",
        "initial": {},
        "handlers": {"$Opened": {"took": "event.states[0].state.mail.last", "n": "1"}},
    }
    with pytest.raises(PersonalWithheld):
        hydrated(blind, second, taking)
    sees.put_fold(taking)
    assert states_of(hydrated(sees, second, f"g{kind}")) == ({"took": CANARY, "n": 1}, ())
    assert states_of(hydrated(blind, second, f"g{kind}")) == ({"took": None, "n": 1}, ("/took",))


def test_states_without_personal_values_come_whole(sees: Client, blind: Client, kind: str) -> None:
    declare(sees, kind, "email")
    counting = {"fold": "g", "initial": {"n": 0}, "handlers": {kind: {"n": "state.n + 1"}}}
    sees.append(f"{kind}-1", [Event(kind, {"email": CANARY})], expected_version=0)
    assert states_of(hydrated(blind, f"{kind}-1", counting)) == ({"n": 1}, ())


def test_what_cannot_be_told_apart_is_refused(sees: Client, blind: Client, kind: str) -> None:
    declare(sees, kind, "email")
    stream = f"{kind}-1"
    sees.append(stream, [Event(kind, {"email": CANARY})], expected_version=0)
    keyed = {"fold": f"g{kind}", "initial": {}, "handlers": {kind: {"[event.email]": "1"}}}
    sees.put_fold(keyed)
    assert hydrated(sees, stream, f"g{kind}").state == {CANARY: 1}
    with pytest.raises(EventfoldError) as refused:
        hydrated(blind, stream, f"g{kind}")
    assert refused.value.reason == "PERSONAL_KEY"
    assert CANARY not in str(refused.value)


def test_what_events_changed_is_refused(sees: Client, blind: Client, kind: str) -> None:
    declare(sees, kind, "email")
    stream = f"{kind}-1"
    sees.append(stream, [Event(kind, {"email": CANARY})], expected_version=0)
    sees.put_fold(fold(kind, f"f{kind}"))
    assert list(sees.explain(kind, "1", fold=f"f{kind}"))
    with pytest.raises(PersonalWithheld) as refused:
        list(blind.explain(kind, "1", fold=f"f{kind}"))
    assert refused.value.facts == {
        "field": "/mail/all/*",
        "category": kind,
        "permission": "personal",
    }
