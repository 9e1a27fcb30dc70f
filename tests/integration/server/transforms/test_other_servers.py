"""Goal: a transform copies into another server, compares what is stored there, follows the log, and
waits for a server that is away; what cannot be done is refused or fails, typed.

Method: the SDK against two real servers with a store each, in one PostgreSQL; what the other store
holds afterwards is compared with what the document says, worked out here anew.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.database import connected
from tests.support.servers import RunningServer, ServerDied, start_postgres, start_server
from tests.support.transform_jobs import (
    by_month,
    check_copied_into,
    fill,
    purchase,
    renamed,
    totals,
    until,
)
from typer.testing import CliRunner

import eventfold
from eventfold import AsyncClient, Client, Event, Lifecycle, TransformTarget
from eventfold import _methods as methods
from eventfold.cli import app
from eventfold.cli.failures import ExitCode
from eventfold.v1 import appends_pb2
from eventfold.v1 import transforms_pb2 as pb
from eventfold_server import limits

TOKEN = "a-token-of-the-test"
SUM = """
fold: sum
initial: {cents: 0}
handlers:
  Purchased: {cents: state.cents + event.cents}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("others")
    folder.chmod(0o711)
    with start_postgres(folder / "data") as dsn:
        yield dsn


@dataclass
class Two:
    """Two servers, of which one knows the other."""

    url: str
    folder: Path
    other_schema: str
    source: Client
    target: Client
    source_server: RunningServer
    target_server: RunningServer


def folder_in(path: Path, name: str) -> Path:
    found = path / name
    found.mkdir(exist_ok=True)
    return found


def write_targets(folder: Path, **addresses: str) -> Path:
    """A file that names servers; all of them take the token of the test."""
    (folder / "other.token").write_text(TOKEN + "\n", encoding="utf-8")
    tables = [
        f'[{name}]\naddress = "{address}"\ntoken_file = "other.token"\n'
        for name, address in addresses.items()
    ]
    path = folder / "targets.toml"
    path.write_text("\n".join(tables), encoding="utf-8")
    return path


def write_tokens(folder: Path, permissions: str = "read,write,admin") -> Path:
    path = folder / "tokens"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    path.write_text(f"sender {digest} {permissions}\n", encoding="utf-8")
    return path


@pytest.fixture
def two(url: str, tmp_path: Path) -> Iterator[Two]:
    schemas = [f"r_{uuid.uuid4().hex[:12]}" for _ in range(2)]
    with start_server(
        folder_in(tmp_path, "target"),
        database_url=url,
        schema=schemas[1],
        token_file=write_tokens(tmp_path),
    ) as other:
        targets = write_targets(tmp_path, archive=other.address)
        with (
            start_server(
                folder_in(tmp_path, "source"),
                database_url=url,
                schema=schemas[0],
                transform_targets=targets,
            ) as server,
            Client(server.address) as source,
            Client(other.address, token=TOKEN) as target,
        ):
            yield Two(url, tmp_path, schemas[1], source, target, server, other)


def test_it_copies_compares_and_follows(two: Two) -> None:
    fill(two.source, "S", 5, 12)
    two.source.append("S-0", [Event("Purchased", {"month": "2026-01", "cents": 1}, tags=["é"])],
                      expected_version=eventfold.ANY)  # fmt: skip
    started = two.source.start_transform(by_month("S", "T"), target="archive")
    assert (started.target, started.state) == ("archive", "trying")
    found = two.source.wait_transform(started.transform_id)
    assert (found.state, found.failure, found.waiting) == ("verified", None, None), found.failure
    assert (found.events_read, found.events_written) == (121, 61)
    assert check_copied_into(two.source, "S", two.target, "T") == 61
    assert totals(two.target, "T") == totals(two.source, "S")
    assert (found.verification.events, found.verification.targets_equal) == (61, 12)
    assert not list(two.source.list_streams(category="T"))
    event = next(iter(two.target.read("T-2026-01")))
    assert event.writer == "sender"
    for one in two.source.list_transform_streams(started.transform_id):
        if isinstance(one, TransformTarget):
            assert (one.version, one.source_digest) == (one.verified_version, one.target_digest)

    # It goes on with the log.
    two.source.append("S-1", [purchase(1, 99)], expected_version=eventfold.ANY)
    until(two.source, started.transform_id, lambda one: one.verification.events == 62)
    assert check_copied_into(two.source, "S", two.target, "T") == 62

    # It has no cut-over, and sources stay open whatever becomes of it.
    with pytest.raises(eventfold.TransformState) as refused:
        two.source.cut_over(started.transform_id)
    assert refused.value.state == "verified"
    with pytest.raises(eventfold.TransformState):
        two.source.cut_over(started.transform_id, dry_run=True)
    two.source.cancel_transform(started.transform_id)
    ended = two.source.wait_transform(started.transform_id)
    assert (ended.state, ended.ended_at is None) == ("cancelled", False)
    assert {one.lifecycle for one in two.source.list_streams()} == {Lifecycle.OPEN}
    assert {one.lifecycle for one in two.target.list_streams()} == {Lifecycle.OPEN}
    assert check_copied_into(two.source, "S", two.target, "T") == 62


def test_cancellations_stay_cancellations(two: Two) -> None:
    two.source.append("S-1", [Event("Paid", {"cents": 9})], expected_version=0)
    [paid] = two.source.read("S-1")
    two.source.compensate("S-1", paid.id, expected_version=1, reason="twice")
    started = two.source.start_transform(renamed("S", "T"), target="archive")
    found = two.source.wait_transform(started.transform_id)
    assert (found.state, found.failure) == ("verified", None)
    first, second = two.target.read("T-1")
    assert (first.copied_from, second.cancels) == (paid.id, first.id)


def test_states_are_compared_with_a_fold_of_the_other_server(two: Two) -> None:
    two.source.put_fold(SUM)
    fill(two.source, "S", 3, 4)
    document = renamed("S", "T", "verify: {from: sum, to: sum}\n")
    started = two.source.start_transform(document, target="archive")
    # The other server does not have the fold yet.
    until(two.source, started.transform_id, lambda one: one.waiting == "FOLD_NOT_FOUND")
    two.target.put_fold(SUM)
    found = two.source.wait_transform(started.transform_id)
    assert (found.state, found.waiting) == ("verified", None)
    assert (found.verification.states_compared, found.verification.states_differing) == (3, 0)


def test_states_that_differ_fail(two: Two) -> None:
    two.source.put_fold(SUM)
    two.target.put_fold(SUM.replace("+ event.cents", "+ event.cents + 1"))
    fill(two.source, "S", 2, 1)
    document = renamed("S", "T", "verify: {from: sum, to: sum}\n")
    started = two.source.start_transform(document, target="archive")
    found = two.source.wait_transform(started.transform_id)
    assert isinstance(found.failure, eventfold.TransformDiffers)
    assert found.failure.facts["problem"] == "state"


def test_what_is_damaged_there_is_found(two: Two) -> None:
    fill(two.source, "S", 2, 3)
    started = two.source.start_transform(by_month("S", "T"), target="archive")
    assert two.source.wait_transform(started.transform_id).state == "verified"
    # Each copy is compared as it is stored: this one is changed as soon as it is.
    with connected(two.url) as connection:
        connection.execute(
            f"CREATE FUNCTION {two.other_schema}.damage() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.data := '{\"cents\":0}'::bytea; RETURN NEW; END $$"
        )
        connection.execute(
            f"CREATE TRIGGER damage BEFORE INSERT ON {two.other_schema}.events "
            f"FOR EACH ROW EXECUTE FUNCTION {two.other_schema}.damage()"
        )
    two.source.append("S-1", [purchase(1, 50)], expected_version=eventfold.ANY)
    found = until(two.source, started.transform_id, lambda one: one.state == "failed")
    assert isinstance(found.failure, eventfold.TransformDiffers)
    assert found.failure.facts["problem"] == "copies"


def test_a_stream_that_is_there_fails_the_trial(two: Two) -> None:
    fill(two.source, "S", 2, 1)
    two.target.append("T-1", [Event("Other", {})], expected_version=0)
    started = two.source.start_transform(renamed("S", "T"), target="archive")
    found = two.source.wait_transform(started.transform_id)
    assert isinstance(found.failure, eventfold.TargetExists)
    assert found.failure.stream == "T-1"
    assert [one.name for one in two.target.list_streams()] == ["T-1"]


def test_a_stream_that_others_append_to_fails_it(two: Two) -> None:
    fill(two.source, "S", 2, 1)
    started = two.source.start_transform(renamed("S", "T"), target="archive")
    assert two.source.wait_transform(started.transform_id).state == "verified"
    two.target.append("T-1", [Event("Other", {})], expected_version=eventfold.ANY)
    two.source.append("S-1", [purchase(1, 50)], expected_version=eventfold.ANY)
    found = until(two.source, started.transform_id, lambda one: one.state == "failed")
    assert isinstance(found.failure, eventfold.TargetMoved)
    assert (found.failure.stream, found.failure.facts["problem"]) == ("T-1", "moved")


def test_the_other_server_has_rules_of_its_own(two: Two) -> None:
    two.target.put_schema("Purchased", {"type": "object", "required": ["absent"]})
    two.target.put_event_type("Purchased", schema_mode="enforce")
    fill(two.source, "S", 1, 1)
    started = two.source.start_transform(renamed("S", "T"), target="archive")
    found = two.source.wait_transform(started.transform_id)
    assert isinstance(found.failure, eventfold.TransformFailed)
    assert found.failure.facts["cause"] == "SCHEMA_VIOLATION"
    assert not list(two.target.list_streams(category="T"))


def test_it_waits_for_a_server_that_is_away(two: Two) -> None:
    fill(two.source, "S", 3, 3)
    started = two.source.start_transform(by_month("S", "T"), target="archive")
    assert two.source.wait_transform(started.transform_id).state == "verified"
    two.target_server.kill()
    two.source.append("S-1", [purchase(1, 77)], expected_version=eventfold.ANY)
    waits = until(two.source, started.transform_id, lambda one: one.waiting is not None)
    assert (waits.state, waits.waiting) == ("verified", "CONNECTION_FAILED")
    again = two.target_server.options | {"listen": two.target_server.address}
    with start_server(folder_in(two.folder, "again"), **again):
        found = until(two.source, started.transform_id, lambda one: one.verification.events == 10)
        assert (found.state, found.waiting) == ("verified", None)
        assert check_copied_into(two.source, "S", two.target, "T") == 10
    # One that is away can be left alone too.
    two.source.append("S-1", [purchase(1, 78)], expected_version=eventfold.ANY)
    until(two.source, started.transform_id, lambda one: one.waiting is not None)
    two.source.cancel_transform(started.transform_id)
    ended = two.source.wait_transform(started.transform_id)
    assert (ended.state, ended.waiting) == ("cancelled", None)


def test_another_store_behind_the_address_fails_it(two: Two) -> None:
    fill(two.source, "S", 1, 3)
    started = two.source.start_transform(by_month("S", "T"), target="archive")
    assert two.source.wait_transform(started.transform_id).state == "verified"
    two.target_server.kill()
    fresh = f"r_{uuid.uuid4().hex[:12]}"
    again = two.target_server.options | {"listen": two.target_server.address, "schema": fresh}
    with start_server(folder_in(two.folder, "again"), **again):
        two.source.append("S-0", [purchase(0, 77)], expected_version=eventfold.ANY)
        found = until(two.source, started.transform_id, lambda one: one.state == "failed")
        assert isinstance(found.failure, eventfold.TransformTargetStore)
        assert found.failure.facts["problem"] == "other"
        assert not list(two.target.list_streams())


def test_the_same_store_is_refused(url: str, tmp_path: Path) -> None:
    schema = f"r_{uuid.uuid4().hex[:12]}"
    options: dict[str, object] = {"database_url": url, "schema": schema}
    with start_server(folder_in(tmp_path, "a"), **options) as one:
        targets = write_targets(tmp_path, itself=one.address)
        with (
            start_server(folder_in(tmp_path, "b"), transform_targets=targets, **options) as server,
            Client(server.address) as store,
        ):
            fill(store, "S", 1, 1)
            started = store.start_transform(renamed("S", "T"), target="itself")
            # A server that does not know the other one may take it first, and leaves it.
            found = until(store, started.transform_id, lambda one: one.state == "failed")
            assert isinstance(found.failure, eventfold.TransformTargetStore)
            assert found.failure.facts["problem"] == "same"
            assert not list(store.list_streams(category="T"))


def test_a_token_without_permission_is_waited_for(two: Two) -> None:
    write_tokens(two.folder, "read")
    two.target_server.reload()
    fill(two.source, "S", 1, 1)
    started = two.source.start_transform(renamed("S", "T"), target="archive")
    until(two.source, started.transform_id, lambda one: one.waiting == "PERMISSION_DENIED")
    write_tokens(two.folder)
    two.target_server.reload()
    assert two.source.wait_transform(started.transform_id).state == "verified"
    # Nowhere is the token to be seen.
    log = (two.folder / "source" / "server.log").read_text(encoding="utf-8")
    assert "PERMISSION_DENIED" in log
    assert TOKEN not in log


def test_unknown_names_are_refused(two: Two) -> None:
    with pytest.raises(eventfold.TransformTargetUnknown) as refused:
        two.source.start_transform(renamed("S", "T"), target="nowhere")
    assert refused.value.target == "nowhere"
    assert not list(two.source.list_transforms())


async def test_the_calls_of_asyncio(two: Two) -> None:
    fill(two.source, "S", 1, 2)
    async with AsyncClient(two.source_server.address) as store:
        started = await store.start_transform(renamed("S", "T"), target="archive")
        found = await store.wait_transform(started.transform_id)
        assert (found.state, found.target, found.events_written) == ("verified", "archive", 4)


def test_the_command_line(two: Two, tmp_path: Path) -> None:
    fill(two.source, "S", 1, 2)
    file = tmp_path / "t.yaml"
    file.write_text(renamed("S", "T"), encoding="utf-8")
    runner = CliRunner()
    at = ["--server", two.source_server.address]
    begun = ["transform", "start", str(file), *at, "--target"]
    shown = runner.invoke(app, [*begun, "archive", "--wait"])
    assert shown.exit_code == 0, shown.output
    assert "into       the server archive" in shown.stdout
    assert "state      verified" in shown.stdout
    refused = runner.invoke(app, [*begun, "nowhere"])
    assert refused.exit_code == ExitCode.INVALID_INPUT
    assert "TRANSFORM_TARGET_UNKNOWN" in refused.output
    [found] = two.source.list_transforms()
    cut = runner.invoke(app, ["transform", "cut-over", found.transform_id, *at])
    assert (cut.exit_code, "TRANSFORM_STATE" in cut.output) == (ExitCode.REFUSED, True)


def digest(store: Client, **fields: object) -> pb.DigestCopiesResponse:
    return store._connection.unary(methods.DIGEST_COPIES, pb.DigestCopiesRequest(**fields), None)


def test_calls_at_their_limits(two: Two) -> None:
    streams = [pb.CopiesDigest(stream=f"A-{n}") for n in range(limits.COPIES_STREAMS_MAX + 1)]
    ids = [str(uuid.uuid4()) for _ in range(limits.COPIES_IDS_MAX + 1)]
    answer = digest(two.target, streams=streams[1:], event_ids=ids[1:])
    assert len(answer.streams) == limits.COPIES_STREAMS_MAX
    for fields in ({"streams": streams}, {"event_ids": ids}):
        with pytest.raises(eventfold.InvalidRequest) as refused:
            digest(two.target, **fields)
        assert refused.value.limit == 1_000

    appends = [
        pb.StreamCopies(
            append=appends_pb2.AppendRequest(
                stream=f"A-{n}",
                expected_version=appends_pb2.ExpectedVersion(exact=0),
                events=[appends_pb2.NewEvent(id=str(uuid.uuid4()), type="T", data=b"{}")],
            ),
            copied_from=[str(uuid.uuid4())],
        )
        for n in range(limits.COPIES_APPENDS_MAX + 1)
    ]
    with pytest.raises(eventfold.InvalidRequest) as refused:
        append(two.target, answer.store_id, appends)
    assert refused.value.limit == 100
    assert append(two.target, answer.store_id, appends[1:]) == [False] * 100
    assert append(two.target, answer.store_id, appends[1:]) == [True] * 100


def append(store: Client, store_id: str, appends: list[pb.StreamCopies]) -> list[bool]:
    request = pb.AppendCopiesRequest(store_id=store_id, appends=appends)
    return list(store._connection.unary(methods.APPEND_COPIES, request, None).duplicates)


def test_large_copies_go_in_several_calls(two: Two) -> None:
    text = "x" * 900_000
    for number in range(4):
        two.source.append(f"S-{number}", [Event("T", {"text": text})], expected_version=0)
    started = two.source.start_transform(renamed("S", "T"), target="archive")
    found = two.source.wait_transform(started.transform_id)
    assert (found.state, found.verification.events) == ("verified", 4)
    assert [next(iter(two.target.read(f"T-{n}"))).data for n in range(4)] == [{"text": text}] * 4


@pytest.mark.parametrize(
    "text",
    [
        "[a",
        "[a]",
        '["a b"]\naddress = "127.0.0.1:1"',
        '[a]\naddress = "archive.example:4141"',
        '[a]\naddress = "127.0.0.1:1"\ntoken = "x"',
        '[a]\naddress = "127.0.0.1:1"\ntoken_file = "missing"',
        '[a]\naddress = "127.0.0.1:1"\ntls_ca = "missing"',
        '[a]\naddress = "127.0.0.1:1"\ntls = "yes"',
        'address = "127.0.0.1:1"',
    ],
)
def test_files_that_are_none_are_refused(text: str, url: str, tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    path.write_text(text, encoding="utf-8")
    with (
        pytest.raises(ServerDied, match="--transform-targets"),
        start_server(tmp_path, database_url=url, transform_targets=path),
    ):
        pass
