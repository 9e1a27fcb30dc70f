"""Goal: `eventfold serve` starts with one command, says what to do next, and stops cleanly.

Method: real processes on a data directory of their own.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import eventfold
from eventfold.cli.failures import ExitCode
from eventfold_server.limits import CONNECTIONS_SPARE
from eventfold_server.storage.database import CONNECTIONS

EVENTFOLD = [sys.executable, "-m", "eventfold"]
START_S = 60
STOP_S = 60


@contextmanager
def serving(*options: str, ends_with: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Runs a server; yields the process and its first line. It has to end by itself at SIGTERM."""
    command = [*EVENTFOLD, "serve", "--listen", "127.0.0.1:0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        assert first, process.communicate(timeout=STOP_S)
        yield process, first
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=STOP_S)
        assert process.returncode == ends_with, errors
    finally:
        process.kill()
        process.communicate()


def eventfold_command(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EVENTFOLD, *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )


def make_certificate(key_file: Path, certificate_file: Path) -> None:
    """Makes a key and a certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    addresses = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(pem, private, serialization.NoEncryption()))
    certificate_file.write_bytes(certificate.public_bytes(pem))


@pytest.fixture
def data_dir(shared_tmp_path: Path) -> Path:
    return shared_tmp_path / "data"


def test_the_lines_to_try_next_work_and_the_data_survive(data_dir: Path) -> None:
    with serving("--data-dir", str(data_dir)) as (process, first):
        address = first.split()[3].rstrip(",")
        assert first.startswith(f"eventfold serves on {address}, with its data in {data_dir}")
        assert process.stdout is not None
        tries = [process.stdout.readline().strip() for _ in range(3)]
        for line in tries:
            assert line.startswith("python -m eventfold ")
            assert line.endswith(f" --server {address}")
            python = f"'{sys.executable}'" + line.removeprefix("python")
            done = subprocess.run(
                python, shell=True, capture_output=True, text=True, timeout=START_S, check=False
            )
            assert done.returncode == 0, done.stderr
            assert "account-1" in done.stdout or "AccountOpened" in done.stdout
    with serving("--data-dir", str(data_dir), "--json") as (process, first):
        said = json.loads(first)
        assert said["pid"] == process.pid
        with eventfold.Client(said["address"]) as store:
            assert store.get_stream("account-1").version == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_ctrl_c_stops_it_too_and_its_folder_is_data(shared_tmp_path: Path, workers: str) -> None:
    """The terminal signals every process in the foreground."""
    process = subprocess.Popen(
        [*EVENTFOLD, "serve", "--listen", "127.0.0.1:0", "--json"],
        env={**os.environ, "EVENTFOLD_WORKERS": workers},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=shared_tmp_path,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        assert (shared_tmp_path / "data").is_dir()
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=STOP_S)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
        serves = [line for line in errors.splitlines() if "worker" in line and " serves" in line]
        assert len(serves) == (0 if workers == "1" else 2)
    finally:
        process.kill()
        process.communicate()


def test_settings_reach_its_postgres(data_dir: Path) -> None:
    settings = ("--postgres-setting", "work_mem=9MB", "--postgres-setting", "max_wal_size=1GB")
    with serving("--data-dir", str(data_dir), "--workers", "2", "--json", *settings):
        url = (data_dir / "postgres.url").read_text().strip()
        with psycopg.connect(url) as postgres:

            def shown(name: str) -> str:
                row = postgres.execute("SELECT current_setting(%s)", [name]).fetchone()
                assert row is not None
                return str(row[0])

            assert (shown("work_mem"), shown("max_wal_size")) == ("9MB", "1GB")
            # Enough for all that the workers may open, and for tools.
            assert int(shown("max_connections")) == 2 * CONNECTIONS + CONNECTIONS_SPARE


def test_tokens_say_who_calls_and_what_is_allowed(data_dir: Path, shared_tmp_path: Path) -> None:
    def row(name: str, permissions: str) -> str:
        return f"{name} {hashlib.sha256(name.encode()).hexdigest()} {permissions}\n"

    tokens = shared_tmp_path / "tokens"
    tokens.write_text(row("writer", "read,write") + row("reader", "read"))
    options = ("--data-dir", str(data_dir), "--token-file", str(tokens), "--json")
    with serving(*options) as (_, first):
        address = {"EVENTFOLD_SERVER": json.loads(first)["address"]}
        append = ("append", "a-1", "T", "--expected", "any")
        assert eventfold_command(*append, **address, EVENTFOLD_TOKEN="writer").returncode == 0
        refused = eventfold_command(*append, **address, EVENTFOLD_TOKEN="reader")
        assert refused.returncode == ExitCode.NOT_ALLOWED
        assert "PERMISSION_DENIED" in refused.stderr
        unknown = eventfold_command(*append, **address)
        assert unknown.returncode == ExitCode.NOT_ALLOWED
        assert "UNAUTHENTICATED" in unknown.stderr
        read = eventfold_command("read", "a-1", "--json", **address, EVENTFOLD_TOKEN="reader")
        assert json.loads(read.stdout)["writer"] == "writer"


def test_tls_with_an_authority_of_its_own(data_dir: Path, shared_tmp_path: Path) -> None:
    key, certificate = shared_tmp_path / "key.pem", shared_tmp_path / "cert.pem"
    make_certificate(key, certificate)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    with serving("--data-dir", str(data_dir), *options, "--json") as (_, first):
        address = {"EVENTFOLD_SERVER": json.loads(first)["address"]}
        authority = ("--tls-ca", str(certificate))
        append = ("append", "a-1", "T", "--expected", "0")
        assert eventfold_command(*append, *authority, **address).returncode == 0
        plain = eventfold_command("read", "a-1", "--timeout", "1", **address)
        unknown = eventfold_command("read", "a-1", "--tls", "--timeout", "1", **address)
        assert plain.returncode == unknown.returncode == ExitCode.UNAVAILABLE
        assert eventfold_command("read", "a-1", **address, EVENTFOLD_TLS_CA=authority[1]).stdout


def test_a_reader_that_closes_early_is_no_error(data_dir: Path) -> None:
    with serving("--data-dir", str(data_dir), "--json") as (_, first):
        address = json.loads(first)["address"]
        with eventfold.Client(address) as store:
            events = [eventfold.Event("T", {"text": "x" * 1000}) for _ in range(1000)]
            store.append("a-1", events, expected_version=0)
        command = [*EVENTFOLD, "read", "a-1", "--json", "--server", address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reader:
            assert reader.stdout is not None
            assert reader.stderr is not None
            assert reader.stdout.readline()
            reader.stdout.close()
            assert reader.stderr.read() == b""
            assert reader.wait(START_S) == ExitCode.OUTPUT_CLOSED


def test_a_second_server_on_the_same_folder_is_refused(data_dir: Path) -> None:
    with serving("--data-dir", str(data_dir), "--json"):
        second = eventfold_command("serve", "--listen", "127.0.0.1:0", "--data-dir", str(data_dir))
    assert second.returncode == ExitCode.NOT_STARTED
    [line] = [one for one in second.stderr.splitlines() if one.startswith("error: ")]
    assert line.startswith("error: EMBEDDED_POSTGRES: DataDirectoryInUse: ")


def test_an_address_that_is_taken_is_refused(data_dir: Path, eventfold_target: str) -> None:
    options = ("--listen", eventfold_target, "--data-dir", str(data_dir))
    taken = eventfold_command("serve", *options)
    assert taken.returncode == ExitCode.USAGE
    assert "error: INVALID_OPTIONS: cannot listen on" in taken.stderr


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (
            ["--database-url", "postgresql://127.0.0.1:1/x", "--database-wait", "0"],
            5,
            "STORAGE_UNAVAILABLE",
        ),
        (["--database-url", "postgresql://x", "--workers", "65"], 2, "INVALID_OPTIONS"),
        (["--postgres-setting", "work_mem"], 2, "INVALID_OPTIONS"),
        (["--postgres-setting", "fsync=off"], 2, "INVALID_OPTIONS"),
        (["--schema", "no-schema", "--database-url", "postgresql://x"], 8, "STORAGE_REFUSED"),
    ],
    ids=["unreachable", "workers", "no setting", "fixed setting", "schema"],
)
def test_a_start_that_cannot_be_is_one_line(options: list[str], code: int, reason: str) -> None:
    refused = eventfold_command("serve", "--listen", "127.0.0.1:0", *options)
    assert refused.returncode == code, refused.stderr
    [line] = refused.stderr.splitlines()
    assert line.startswith(f"error: {reason}: ")


def test_a_broken_token_file_is_refused(data_dir: Path, shared_tmp_path: Path) -> None:
    tokens = shared_tmp_path / "tokens"
    tokens.write_text("writer\n")
    options = ("--data-dir", str(data_dir), "--token-file", str(tokens), "--log-level", "error")
    refused = eventfold_command("serve", "--listen", "127.0.0.1:0", *options)
    assert refused.returncode == ExitCode.USAGE
    [line] = refused.stderr.splitlines()
    assert line.startswith(f"error: INVALID_TOKEN_FILE: {tokens}: line 1: ")
