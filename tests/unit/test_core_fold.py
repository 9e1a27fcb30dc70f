"""Folds of the core through its bindings: conversions, exceptions, runs on pages and on events.

The semantics are tested in Rust; here is what the bindings add.
"""

import json
import threading

import pytest

from eventfold import _core

SOURCE = """
fold: account
initial: {balance: 0}
keep: {every: 500}
handlers:
  Deposited:
    balance: "state.balance + event.amount"
    last: "{'id': meta.id, 'tags': meta.tags, 'why': meta.metadata.?why}"
  Closed: delete
"""
ID = "01890000-0000-7000-8000-{:012d}"


def feed(run: _core.FoldRun, version: int, data: bytes, name: str = "Deposited") -> None:
    run.feed_event(name, data, b"", ["t"], ID.format(version), version, version + 5, 0, 0, "me")


def test_a_fold_says_what_it_is() -> None:
    fold = _core.Fold(SOURCE)
    assert (fold.name, fold.event_types) == ("account", ["Deposited", "Closed"])
    assert (fold.keep_every, fold.skip_cancelled, fold.initial) == (500, False, b'{"balance":0}')
    assert len(fold.digest) == 64
    assert _core.Fold("fold: a\nkeep: off").keep_every == 0
    assert _core.Fold('{"fold": "a"}').keep_every is None


def test_events_become_a_state() -> None:
    source = SOURCE.replace("meta.metadata.?why", "meta.metadata")
    run = _core.Fold(source).run("account-1", "account-1")
    feed(run, 1, b'{"amount": 1.10}')
    feed(run, 2, b'{"amount": 2}')
    feed(run, 3, b"{}", "Unknown")
    result = run.finish()
    assert result.exists
    assert (result.version, result.position) == (3, 8)
    assert (result.events_read, result.events_folded) == (3, 2)
    last = f'{{"id":"{ID.format(2)}","tags":["t"],"why":{{}}}}'
    assert result.state == f'{{"balance":3.1,"last":{last}}}'.encode()


def test_documents_that_do_not_compile() -> None:
    with pytest.raises(_core.CoreError) as caught:
        _core.Fold("fold: a\nhandlers:\n  E:\n    x: event.a +\n")
    error = caught.value
    assert error.reason == "INVALID_FOLD"
    assert (error.facts["line"], error.facts["handler"], error.facts["path"]) == ("4", "E", "x")
    line, caret = error.facts["excerpt"].split("\n")
    assert line == "    x: event.a +"
    assert caret.index("^") + 1 == int(error.facts["column"])
    with pytest.raises(_core.CoreError) as caught:
        _core.Fold("fold: a\n" + "#" * 70_000)
    assert caught.value.reason == "FOLD_TOO_LARGE"


def test_failures_end_a_run() -> None:
    run = _core.Fold(SOURCE).run("account-1", "account-1")
    with pytest.raises(_core.CoreError) as caught:
        feed(run, 1, b'{"amount": "x"}')
    assert caught.value.reason == "FOLD_FAILED"
    assert caught.value.facts["version"] == "1"
    with pytest.raises(_core.CoreError, match="FOLD_FAILED"):
        run.finish()
    run = _core.Fold(SOURCE).run("account-1", "account-1")
    with pytest.raises(_core.CoreError) as caught:
        feed(run, 1, b'{"amount": 1,}')
    assert caught.value.reason == "EVENT_CORRUPT"


def test_runs_go_on_from_a_state() -> None:
    fold = _core.Fold("fold: a\ninitial: {n: 0}\nhandlers: {E: {n: state.n + 1}, D: delete}")
    run = fold.run("a-1", "a-1", state=b'{"n": 41}', version=7, position=9)
    feed(run, 8, b"{}", "E")
    assert json.loads(run.finish().state) == {"n": 42}
    run = fold.run("a-1", "a-1", state=None, version=7, position=9)
    assert (run.finish().exists, run.finish().state, run.finish().version) == (False, b"null", 7)
    with pytest.raises(_core.CoreError) as caught:
        fold.run("a-1", "a-1", state=b"{", version=7)
    assert caught.value.reason == "INVALID_REQUEST"


def test_a_run_is_stopped_from_another_thread() -> None:
    source = """
fold: slow
handlers:
  E: {n: "size([1,2,3,4,5,6,7,8].map(a, [1,2,3,4,5,6,7,8].map(b, [1,2,3,4].map(c, a * b * c))))"}
"""
    run = _core.Fold(source).run("a-1", "a-1")
    threading.Timer(0.05, run.stop).start()

    def feed_on() -> None:
        for version in range(1, 10_000_000):
            feed(run, version, b"{}", "E")

    with pytest.raises(_core.CoreError) as caught:
        feed_on()
    assert caught.value.reason == "EVALUATION_LIMIT"
