"""Goal: a token never travels in plain text by accident; events refuse what cannot be sent.

Method: settings and events alone; `test_tls.py` has the server.
"""

from __future__ import annotations

import copy
import datetime as dt
import pickle
from pathlib import Path
from typing import Any

import pytest

import eventfold
from eventfold._settings import Settings, is_loopback


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:4141",
        "localhost:4141",
        "[::1]:4141",
        "dns:///127.0.0.1:4141",
        "dns:localhost:1",
        "ipv4:127.9.9.9:1",
        "ipv6:[::1]:1",
        "unix:/run/eventfold.sock",
        "unix:///run/eventfold.sock",
        "localhost",
    ],
)
def test_loopback(target: str) -> None:
    assert is_loopback(target)
    Settings(target, token="t")


@pytest.mark.parametrize(
    "target",
    [
        "10.0.0.1:4141",
        "db.example:4141",
        "[fe80::1]:1",
        "localhost.example:1",
        "dns:///a.b:1",
        "ipv6:[::1]:1,[2001:db8::1]:1",
    ],
)
def test_a_token_stays_here_without_tls(target: str) -> None:
    assert not is_loopback(target)
    with pytest.raises(eventfold.InsecureConnection) as caught:
        eventfold.Client(target, token="secret")
    assert caught.value.target == target
    assert "secret" not in str(caught.value)
    eventfold.Client(target).close()
    eventfold.Client(target, token="secret", insecure=True).close()
    eventfold.Client(target, token="secret", tls=True).close()


def test_an_empty_target_is_not_this_machine() -> None:
    assert not is_loopback("")
    with pytest.raises(eventfold.InsecureConnection):
        eventfold.Client("", token="secret")
    with pytest.raises(eventfold.InvalidValue, match="no address"):
        eventfold.Client("")


def test_settings_do_not_tell_the_token() -> None:
    assert "secret" not in repr(Settings("localhost:1", token="secret"))
    assert repr(eventfold.Client("localhost:1", token="secret")) == "<Client localhost:1>"
    assert repr(eventfold.AsyncClient("localhost:1")) == "<AsyncClient localhost:1>"


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_a_time(timeout: float) -> None:
    with pytest.raises(eventfold.InvalidValue):
        eventfold.Client("localhost:1", timeout=timeout)


def test_numbers_are_checked() -> None:
    wrong: Any = "exact"
    with pytest.raises(ValueError, match="numbers"):
        eventfold.Client("localhost:1", numbers=wrong)


def test_a_missing_certificate_is_found_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        eventfold.Client("localhost:1", tls=tmp_path / "ca.pem")


def test_an_event_is_a_value() -> None:
    data = {"n": 1}
    event = eventfold.Event("A", data, tags=["x"], occurred_at=dt.datetime.now(dt.UTC))
    data["n"] = 2
    assert event.data_json == b'{"n":1}'
    assert event.metadata_json == b""
    assert event == copy.copy(event) == pickle.loads(pickle.dumps(event))
    assert pickle.loads(pickle.dumps(event)).data_json == b'{"n":1}'
    assert event != eventfold.Event("A", data, tags=["x"], occurred_at=event.occurred_at)
    assert len({event, copy.copy(event)}) == 1
    frozen: Any = event
    with pytest.raises(AttributeError):
        frozen.type = "B"


@pytest.mark.parametrize(
    "arguments",
    [
        {"data": [1]},
        {"data": b"[1]"},
        {"data": b"{"},
        {"data": {"x": float("nan")}},
        {"metadata": b"7"},
        {"id": "7"},
        {"id": b"7"},
        {"occurred_at": dt.datetime(2026, 1, 1)},  # noqa: DTZ001
        {"occurred_at": "2026-01-01"},
        {"tags": ["\ud800"]},
        {"type": "\ud800"},
    ],
)
def test_an_event_that_cannot_be_sent(arguments: dict[str, Any]) -> None:
    with pytest.raises(eventfold.InvalidValue):
        eventfold.Event(**{"type": "A", **arguments})


def test_misused_events() -> None:
    wrong: Any = 7
    with pytest.raises(TypeError):
        eventfold.Event(wrong)
    with pytest.raises(TypeError):
        eventfold.Event("A", tags="x")


def test_ready_json_is_kept_byte_for_byte() -> None:
    assert eventfold.Event("A", b'{ "n" : 1.0 }').data_json == b'{ "n" : 1.0 }'
