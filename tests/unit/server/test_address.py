"""Where a database URL leads the reader: exactly where asyncpg would connect.

asyncpg resolves the URL, the environment and the password file by functions that are not
documented; these tests pin what is used of them.
"""

import ssl
from pathlib import Path

import pytest

from eventfold_server.storage.address import resolve


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine's environment or home directory counts."""
    for name in (
        "PGHOST",
        "PGPORT",
        "PGUSER",
        "PGPASSWORD",
        "PGDATABASE",
        "PGSSLMODE",
        "PGSERVICE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_hosts_come_in_order() -> None:
    """Every host is tried with each way to speak TLS that its mode allows."""
    found = resolve("postgresql://u:p%40ss@a:1,b:2/d")
    assert found.attempts == [
        (True, "a", 1, "if_offered"),
        (True, "a", 1, "never"),
        (True, "b", 2, "if_offered"),
        (True, "b", 2, "never"),
    ]
    assert (found.user, found.password, found.database) == ("u", "p@ss", "d")
    assert (found.verify, found.session, found.startup) == ("nothing", "any", {})


@pytest.mark.parametrize(
    ("mode", "uses"),
    [
        ("disable", ["never"]),
        ("allow", ["never", "always"]),
        ("prefer", ["if_offered", "never"]),
        ("require", ["always"]),
    ],
)
def test_modes_of_tls(mode: str, uses: list[str]) -> None:
    """`sslmode` says whether TLS is tried, and whether plaintext is."""
    found = resolve(f"postgresql://u@h/d?sslmode={mode}")
    assert [attempt[3] for attempt in found.attempts] == uses
    assert found.verify == "nothing"


def test_verification(tmp_path: Path) -> None:
    """`verify-full` looks at the name, `verify-ca` at the authority alone; `require` does so where
    there is a file of authorities.
    """
    paths = ssl.get_default_verify_paths()
    bundle = Path(paths.cafile or paths.openssl_cafile)
    if not bundle.is_file():
        pytest.skip("this machine has no bundle of authorities")
    context = ssl.create_default_context(cafile=str(bundle))
    for mode, verify in (
        ("require", "authority"),
        ("verify-ca", "authority"),
        ("verify-full", "name"),
    ):
        found = resolve(f"postgresql://u@h/d?sslmode={mode}&sslrootcert={bundle}")
        assert found.verify == verify
        assert set(context.get_ca_certs(binary_form=True)) <= set(found.authorities)


def test_sockets_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory stands for the socket in it; unknown parameters are settings of the session."""
    found = resolve("postgresql://u@/d?host=/run/x&port=7&application_name=me&jit=on")
    assert found.attempts == [(False, "/run/x", 7, "never")]
    assert found.startup == {"application_name": "me", "jit": "on"}
    monkeypatch.setenv("PGHOST", "/run/y")
    assert resolve("postgresql:///d").attempts == [(False, "/run/y", 5432, "never")]


def test_kinds_of_session() -> None:
    """`target_session_attrs` picks among the hosts."""
    for said, meant in (
        ("any", "any"),
        ("primary", "writing"),
        ("read-write", "writing"),
        ("standby", "reading"),
        ("read-only", "reading"),
        ("prefer-standby", "rather_reading"),
    ):
        assert resolve(f"postgresql://u@h/d?target_session_attrs={said}").session == meant


def test_passwords_come_from_the_file(tmp_path: Path) -> None:
    """A password file is read as libpq does."""
    file = tmp_path / ".pgpass"
    file.write_text("h:5432:d:u:secret\n")
    file.chmod(0o600)
    assert resolve("postgresql://u@h/d").password == "secret"
