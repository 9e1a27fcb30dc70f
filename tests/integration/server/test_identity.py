"""Goal: nobody does more than a token allows, on any method, by any detour.

Method: servers with a token file; calls by path with all kinds of metadata; the token file is
changed while the server runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.integration.server.conftest import Starter
from tests.support.raw import Answer, answer_of, bearer, call
from tests.support.servers import RunningServer

import eventfold
from eventfold.v1 import appends_pb2 as pb
from eventfold.v1 import consumer_groups_pb2 as groups_pb
from eventfold.v1 import consumer_groups_pb2_grpc, event_store_pb2_grpc, subscriptions_pb2_grpc
from eventfold.v1 import subscriptions_pb2 as sub_pb
from eventfold_server.interceptors.permissions import ALL, PERMISSIONS

APPEND = "/eventfold.v1.EventStore/Append"
LIST_STREAMS = "/eventfold.v1.EventStore/ListStreams"
HEALTH = "/grpc.health.v1.Health/Check"
REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}


def line(name: str, permissions: str, token: str | None = None) -> str:
    """A line of a token file; the token is the name unless it is given."""
    return f"{name} {hashlib.sha256((token or name).encode()).hexdigest()} {permissions}\n"


TOKENS = "# Callers of the tests.\n\n" + "".join(
    (
        line("reader", "read"),
        line("writer", "write"),
        line("admin", "admin"),
        line("private", "personal"),
        line("all", "read,write,admin,personal"),
    )
)
GRANTED = {
    "reader": {"read"},
    "writer": {"write"},
    "admin": {"admin"},
    "private": {"personal"},
    "all": ALL,
}


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    file.write_text(TOKENS)
    return file


@pytest.fixture(scope="module")
def guarded(start_shared: Starter, token_file: Path) -> RunningServer:
    return start_shared(token_file=token_file)


@pytest.fixture
def channel(guarded: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(guarded.address) as opened:
        yield opened


def test_every_method_asks_for_its_permission(channel: grpc.Channel) -> None:
    for method, permission in PERMISSIONS.items():
        for name, granted in GRANTED.items():
            # Who gets a message is not refused, and some calls go on until the caller has enough.
            answer = call(channel, method, metadata=bearer(name), messages_max=1)
            if permission is None or permission in granted:
                assert answer.code not in REFUSED, (method, name, answer)
            else:
                assert answer.reason == "PERMISSION_DENIED", (method, name, answer)
                assert answer.facts == {"permission": permission, "method": method}
        nobody = call(channel, method, messages_max=1)
        if permission is None:
            assert nobody.code not in REFUSED, (method, nobody)
        else:
            assert nobody.reason == "UNAUTHENTICATED", (method, nobody)


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ([], "no_token"),
        ([("authorization", "")], "no_token"),
        ([("authorization", "all")], "not_bearer"),
        ([("authorization", "Basic YWxsOmFsbA==")], "not_bearer"),
        ([("authorization", "Bearerall")], "not_bearer"),
        ([("authorization", "Bearer")], "not_bearer"),
        ([("authorization", "Bearer nobody")], "unknown_token"),
        ([("authorization", "Bearer ALL")], "unknown_token"),
        ([("authorization", "Bearer all all")], "unknown_token"),
        ([("authorization", "Bearer " + "x" * 3000)], "unknown_token"),
        # The digest in the file is no token.
        ([("authorization", "Bearer " + line("all", "").split()[1])], "unknown_token"),
        ([("authorization-bin", b"Bearer all")], "no_token"),
        ([("proxy-authorization", "Bearer all")], "no_token"),
        ([("authorization", "Bearer all"), ("authorization", "Bearer all")], "several_tokens"),
        ([("authorization", "Bearer nobody"), ("authorization", "Bearer all")], "several_tokens"),
    ],
)
def test_a_call_without_its_token_is_unauthenticated(
    channel: grpc.Channel, metadata: list[tuple[str, str | bytes]], problem: str
) -> None:
    answer = call(channel, LIST_STREAMS, metadata=metadata)
    assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "UNAUTHENTICATED")
    assert answer.facts == {"problem": problem}
    assert call(channel, LIST_STREAMS, metadata=bearer("all")).code == "OK"


def test_the_scheme_is_read_in_any_case(channel: grpc.Channel) -> None:
    for text in ("bearer all", "BEARER all", "Bearer   all"):
        assert call(channel, LIST_STREAMS, metadata=[("authorization", text)]).code == "OK"


def test_the_token_is_looked_at_before_the_request(channel: grpc.Channel) -> None:
    """Nobody learns anything about requests or streams, or has them parsed, without a token."""
    garbage = b"\xff" * 1000
    assert call(channel, LIST_STREAMS, garbage).reason == "UNAUTHENTICATED"
    assert call(channel, APPEND, garbage, bearer("reader")).reason == "PERMISSION_DENIED"
    answer = call(channel, LIST_STREAMS, garbage, bearer("reader"))
    assert (answer.reason, answer.facts["problem"]) == ("INVALID_REQUEST", "malformed")


@pytest.mark.parametrize(
    "path",
    [
        "eventfold.v1.EventStore/ListStreams",
        "//eventfold.v1.EventStore/ListStreams",
        "/eventfold.v1.EventStore/ListStreams/",
        "/eventfold.v1.EventStore//ListStreams",
        "/eventfold.v1.EventStore/listStreams",
        "/EVENTFOLD.v1.EventStore/ListStreams",
        "/eventfold.v1.EventStore/ListStreams?x",
        "/eventfold.v1.EventStore/%4cistStreams",
        "/eventfold.v1.EventStore/",
        "/eventfold.v1.EventStore",
        "/eventfold.v1.EventStore/Nothing",
        "/grpc.health.v1.Health/../../eventfold.v1.EventStore/ListStreams",
        "/",
    ],
)
def test_no_other_spelling_of_a_path_reaches_a_method(channel: grpc.Channel, path: str) -> None:
    for metadata in ((), bearer("all")):
        answer = call(channel, path, metadata=metadata)
        assert answer.code in {"UNIMPLEMENTED", "UNKNOWN", "INTERNAL", "UNAVAILABLE"}, answer
        assert answer.messages == []
    assert call(channel, HEALTH).code == "OK"


def test_a_huge_header_ends_only_its_call(channel: grpc.Channel) -> None:
    for size in (20_000, 200_000):
        huge = [("authorization", "Bearer " + "x" * size)]
        assert call(channel, LIST_STREAMS, metadata=huge).code in {
            "RESOURCE_EXHAUSTED",
            "UNAUTHENTICATED",
            "UNAVAILABLE",
            "INTERNAL",
        }
        assert call(channel, LIST_STREAMS, metadata=bearer("all")).code == "OK"
    strange = [*bearer("all"), ("x-bytes-bin", bytes(range(256))), ("traceparent", "00-zz")]
    assert call(channel, LIST_STREAMS, metadata=strange).code == "OK"


def test_events_say_who_wrote_them(guarded: RunningServer) -> None:
    event = eventfold.Event("Opened", {})
    with eventfold.Client(guarded.address, token="writer") as store:
        store.append("account-1", [event], expected_version=0)
        with pytest.raises(eventfold.PermissionDenied):
            store.get_stream("account-1")
    with eventfold.Client(guarded.address, token="all") as store:
        [found] = store.read("account-1")
        assert found.writer == "writer"
        assert store.append("account-1", [event], expected_version=0).duplicate
        # A repetition by somebody else changes nothing.
        assert [one.writer for one in store.read("account-1")] == ["writer"]


def test_a_hangup_reads_the_tokens_again(start: Starter, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(line("old", "read") + line("stays", "read"))
    server = start(token_file=file)
    with grpc.insecure_channel(server.address) as channel:

        def until(name: str, code: str) -> None:
            began = time.monotonic()
            while call(channel, LIST_STREAMS, metadata=bearer(name)).code != code:
                assert time.monotonic() - began < 30, f"{name} never became {code}"
                time.sleep(0.02)

        def ask(name: str) -> Answer:
            return call(channel, LIST_STREAMS, metadata=bearer(name))

        assert ask("old").code == "OK"
        file.write_text(line("new", "read") + line("stays", "write"))
        assert ask("new").code == "UNAUTHENTICATED", "tokens change with the signal only"
        server.reload()
        until("new", "OK")
        assert ask("old").code == "UNAUTHENTICATED"
        assert ask("stays").reason == "PERMISSION_DENIED"
        for broken in ("new nonsense read\n", line("other", "everything"), "\xff\n"):
            file.write_bytes(broken.encode("latin-1"))
            server.reload()
            time.sleep(0.1)
            assert ask("new").code == "OK"
        file.unlink()
        server.reload()
        time.sleep(0.1)
        assert ask("new").code == "OK"
        assert server.log_tail().count("the token file was not read again") == 4
        file.write_text("")
        server.reload()
        until("new", "UNAUTHENTICATED")
        assert "nonsense" not in server.log_tail()


def test_a_subscription_ends_with_its_token(start: Starter, tmp_path: Path) -> None:
    """Before anything that was appended since is sent; those of others go on."""
    file = tmp_path / "tokens"
    lines = {name: line(name, "read,write") for name in ("kept", "narrowed", "withdrawn")}
    file.write_text("".join(lines.values()))
    server = start(token_file=file)
    with grpc.insecure_channel(server.address) as channel:
        stub = subscriptions_pb2_grpc.SubscriptionsStub(channel)
        calls = {
            name: stub.Subscribe(sub_pb.SubscribeRequest(), metadata=bearer(name)) for name in lines
        }
        for subscription in calls.values():
            assert next(subscription).kind == sub_pb.FRAME_KIND_CAUGHT_UP
        file.write_text(lines["kept"] + line("narrowed", "write"))
        server.reload()
        time.sleep(0.3)
        with eventfold.Client(server.address, token="kept") as store:
            store.append("a-1", [eventfold.Event("T", {})], expected_version=0)
        assert next(calls["kept"]).events
        for name, reason in (("narrowed", "PERMISSION_DENIED"), ("withdrawn", "UNAUTHENTICATED")):
            with pytest.raises(grpc.RpcError) as caught:
                next(calls[name])
            assert answer_of(caught.value).reason == reason
        calls["kept"].cancel()


WITHDRAWN = {"narrowed": "PERMISSION_DENIED", "withdrawn": "UNAUTHENTICATED"}


async def ended(call_: grpc.aio.StreamStreamCall[Any, Any]) -> str:
    """The reason why a call ends, within a time in which nothing else is sent on it."""
    try:
        async with asyncio.timeout(5):
            while await call_.read():
                pass
            return (await call_.code()).name
    except grpc.aio.AioRpcError as error:
        return answer_of(error).reason


async def test_a_consumer_ends_with_its_token(start: Starter, tmp_path: Path) -> None:
    """At once, though nothing happens; what it has goes to others, and no attempt has failed."""
    file = tmp_path / "tokens"
    lines = {name: line(name, "read,write,admin") for name in ("kept", *WITHDRAWN)}
    file.write_text("".join(lines.values()))
    server = start(token_file=file)
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = consumer_groups_pb2_grpc.ConsumerGroupsStub(channel)
        metadata = {name: bearer(name) for name in lines}
        await stub.CreateGroup(groups_pb.CreateGroupRequest(name="g"), metadata=metadata["kept"])
        async with eventfold.AsyncClient(server.address, token="kept") as store:
            for n in range(2):
                await store.append(f"a-{n}", [eventfold.Event("T", {})], expected_version=0)
            calls = {}
            for name in (*WITHDRAWN, "kept"):
                calls[name] = stub.Consume(metadata=metadata[name])
                begin = groups_pb.ConsumeStart(group="g")
                await calls[name].write(groups_pb.ConsumeRequest(start=begin, credits=1))
                assert (await calls[name].read()).HasField("started")
                if name in WITHDRAWN:
                    assert len((await calls[name].read()).events) == 1
            file.write_text(lines["kept"] + line("narrowed", "write"))
            server.reload()
            for name, reason in WITHDRAWN.items():
                assert await ended(calls[name]) == reason
            await calls["kept"].write(groups_pb.ConsumeRequest(credits=2))
            attempts: list[int] = []
            while len(attempts) < 2:
                attempts += (await calls["kept"].read()).attempts
            assert attempts == [1, 1]
            await calls["kept"].done_writing()
            assert await ended(calls["kept"]) == "OK"


async def test_a_session_of_appends_ends_with_its_token(start: Starter, tmp_path: Path) -> None:
    """What it sent before is answered, and nothing that it sends after is stored."""
    file = tmp_path / "tokens"
    lines = {name: line(name, "read,write") for name in ("kept", *WITHDRAWN)}
    file.write_text("".join(lines.values()))
    server = start(token_file=file)

    def append(stream: str) -> pb.AppendSessionRequest:
        one = pb.SessionAppend(append=pb.AppendRequest(stream=stream))
        one.append.expected_version.exact = 0
        one.append.events.add(type="T", data=b"{}")
        return pb.AppendSessionRequest(appends=[one])

    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = event_store_pb2_grpc.EventStoreStub(channel)
        calls = {name: stub.AppendSession(metadata=bearer(name)) for name in lines}
        for name, session in calls.items():
            await session.write(append(f"{name}-1"))
            assert (await session.read()).answers[0].HasField("appended")
        file.write_text(lines["kept"] + line("narrowed", "read"))
        server.reload()
        for name, reason in WITHDRAWN.items():
            assert await ended(calls[name]) == reason
            with contextlib.suppress(asyncio.InvalidStateError):
                await calls[name].write(append(f"{name}-2"))
        await calls["kept"].write(append("kept-2"))
        assert (await calls["kept"].read()).answers[0].HasField("appended")
        await calls["kept"].done_writing()
        assert await ended(calls["kept"]) == "OK"
    with eventfold.Client(server.address, token="kept") as store:
        assert {event.stream for event in store.read_all()} == {
            "kept-1", "narrowed-1", "withdrawn-1", "kept-2",
        }  # fmt: skip


def test_without_tokens_everyone_is_anonymous(start: Starter) -> None:
    server = start()
    with eventfold.Client(server.address, token="anything") as store:
        store.append("account-1", [eventfold.Event("Opened", {})], expected_version=0)
        [found] = store.read("account-1")
        assert found.writer == "anonymous"
    server.reload()
    with grpc.insecure_channel(server.address) as channel:
        assert call(channel, LIST_STREAMS).code == "OK"
