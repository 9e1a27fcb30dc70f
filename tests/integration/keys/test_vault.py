"""Goal: a key of Vault's transit engine works as the master key, and its faults are told apart.

Method: a server of the test's own over real HTTP and HTTPS; see tests/support/vault.py.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.support.vault import Vault, start_vault

from eventfold_server.errors import Refusal
from eventfold_server.limits import VAULT_BATCH_KEYS_MAX
from eventfold_server.storage.keys.providers import Wrapped
from eventfold_server.storage.keys.providers.vault import VaultAddress, VaultKeys

KEY = os.urandom(32)


@pytest.fixture
def vault() -> Iterator[Vault]:
    with start_vault() as running:
        yield running


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s.right\n")
    return path


@pytest.fixture
async def keys(vault: Vault, token_file: Path) -> AsyncIterator[VaultKeys]:
    made = VaultKeys(VaultAddress(vault.url, "eventfold", token_file))
    yield made
    await made.close()


async def problem(keys: VaultKeys) -> str:
    with pytest.raises(Refusal) as caught:
        await keys.wrap(KEY, b"one")
    assert caught.value.reason == "KEYS_UNAVAILABLE"
    assert caught.value.facts["master_key"].startswith("vault:")
    return caught.value.facts["problem"]


def write(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
    else:
        path.write_text(text)


async def test_versions_of_the_key(keys: VaultKeys, vault: Vault) -> None:
    await keys.check()
    first = await keys.wrap(KEY, b"one")
    assert first.master_key == await keys.newest() == "vault:eventfold:v1"
    vault.keys["eventfold"].rotate()
    second = await keys.wrap(KEY, b"one")
    assert second.master_key == await keys.newest() == "vault:eventfold:v2"
    assert await keys.unwrap_all([(first, b"one"), (second, b"one")]) == [KEY, KEY]
    vault.keys["eventfold"].min_decryption_version = 2
    old, new = await keys.unwrap_all([(first, b"one"), (second, b"one")])
    assert isinstance(old, Refusal)
    assert old.facts == {"problem": "not_unwrapped", "master_key": "vault:eventfold:v1"}
    assert new == KEY


async def test_one_that_fails_leaves_the_others(keys: VaultKeys) -> None:
    wrapped = await keys.wrap_all([(KEY, b"%d" % number) for number in range(3)])
    found = await keys.unwrap_all([(key, b"1") for key in wrapped])
    assert [isinstance(one, Refusal) for one in found] == [True, False, True]
    foreign = Wrapped("vault:other:v1", wrapped[1].wrapped)
    garbage = Wrapped("vault:eventfold:v1", b"\xff\0")
    found = await keys.unwrap_all([(foreign, b"1"), (wrapped[1], b"1"), (garbage, b"1")])
    assert [isinstance(one, Refusal) for one in found] == [True, False, True]
    assert await keys.lacks([foreign.master_key, "vault:eventfold:v7"]) == [foreign.master_key]


async def test_many_keys_travel_in_batches(keys: VaultKeys, vault: Vault) -> None:
    many = [(os.urandom(32), b"%d" % number) for number in range(VAULT_BATCH_KEYS_MAX + 1)]
    wrapped = await keys.wrap_all(many)
    pairs = [(key, context) for key, (_, context) in zip(wrapped, many, strict=True)]
    assert await keys.unwrap_all(pairs) == [key for key, _ in many]
    assert vault.calls == [
        ("encrypt", VAULT_BATCH_KEYS_MAX),
        ("encrypt", 1),
        ("decrypt", VAULT_BATCH_KEYS_MAX),
        ("decrypt", 1),
    ]


async def test_what_goes_wrong_is_told(keys: VaultKeys, vault: Vault, token_file: Path) -> None:
    vault.sealed = True
    assert await problem(keys) == "sealed"
    vault.sealed = False
    write(token_file, "s.wrong")
    assert await problem(keys) == "forbidden"
    write(token_file, None)
    assert await problem(keys) == "forbidden"
    # A token that was replaced is the one of the next call.
    vault.token = "s.next"
    write(token_file, "s.next")
    assert (await keys.wrap(KEY, b"one")).master_key == "vault:eventfold:v1"
    vault.statuses = [500, 429, 302]
    assert [await problem(keys) for _ in range(3)] == ["unavailable"] * 3
    del vault.keys["eventfold"]
    assert await problem(keys) == "no_master_key"


async def test_one_that_does_not_answer(
    keys: VaultKeys, vault: Vault, monkeypatch: pytest.MonkeyPatch, token_file: Path
) -> None:
    monkeypatch.setattr("eventfold_server.storage.keys.providers.vault.VAULT_CALL_S", 0.2)
    slow = VaultKeys(VaultAddress(vault.url, "eventfold", token_file))
    vault.delay_s = 5.0
    assert await problem(slow) == "timeout"
    await slow.close()
    nobody = VaultKeys(VaultAddress("http://127.0.0.1:1", "eventfold", token_file))
    assert await problem(nobody) == "unreachable"
    await nobody.close()


async def test_an_old_vault_that_binds_nothing_is_refused(keys: VaultKeys, vault: Vault) -> None:
    vault.binds = False
    with pytest.raises(Refusal) as caught:
        await keys.check()
    assert caught.value.facts["problem"] == "not_bound"


async def test_over_tls_its_authority_is_asked_for(tmp_path: Path, token_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vault")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = tmp_path / "vault.pem", tmp_path / "vault.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    with start_vault((pem, private)) as vault:
        trusting = VaultKeys(VaultAddress(vault.url, "eventfold", token_file, pem))
        await trusting.check()
        await trusting.close()
        others = VaultKeys(VaultAddress(vault.url, "eventfold", token_file))
        assert await problem(others) == "unreachable"
        await others.close()
        assert not any(b"s.right" in body for body in vault.bodies)
