"""Goal: master keys in files wrap and unwrap, and a bad file is refused without showing it."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from eventfold_server.config import ConfigError, ServerConfig
from eventfold_server.errors import Refusal
from eventfold_server.limits import MASTER_KEY_NAME_BYTES_MAX, MASTER_KEYS_MAX
from eventfold_server.storage.keys.providers import KeyProvider, Wrapped
from eventfold_server.storage.keys.providers.choosing import choose_provider
from eventfold_server.storage.keys.providers.file import ENVIRONMENT, FileKeys, read_master_keys

KEY = os.urandom(32)


def line(name: str = "main", key: bytes | None = None) -> str:
    return f"{name}:{base64.b64encode(os.urandom(32) if key is None else key).decode()}"


async def test_a_key_unwraps_with_its_context_alone() -> None:
    provider = FileKeys(line(), "test")
    await provider.check()
    one, other = await provider.wrap_all([(KEY, b"one"), (KEY, b"other")])
    assert one.wrapped != other.wrapped
    assert KEY not in one.wrapped
    assert await provider.unwrap(one, b"one") == KEY
    right, wrong = await provider.unwrap_all([(other, b"other"), (one, b"other")])
    assert right == KEY
    assert isinstance(wrong, Refusal)
    assert wrong.facts == {"problem": "not_unwrapped", "master_key": one.master_key}


async def test_every_bit_that_is_changed_is_noticed() -> None:
    provider = FileKeys(line(), "test")
    wrapped = await provider.wrap(KEY, b"one")
    for place in range(len(wrapped.wrapped)):
        changed = bytearray(wrapped.wrapped)
        changed[place] ^= 1
        [found] = await provider.unwrap_all([(Wrapped(wrapped.master_key, bytes(changed)), b"one")])
        assert isinstance(found, Refusal)
    for size in range(len(wrapped.wrapped)):
        cut = Wrapped(wrapped.master_key, wrapped.wrapped[:size])
        [found] = await provider.unwrap_all([(cut, b"one")])
        assert isinstance(found, Refusal)


async def test_the_first_key_wraps_and_the_others_unwrap() -> None:
    old_line = line("old")
    old = FileKeys(old_line, "test")
    wrapped = await old.wrap(KEY, b"one")
    both = FileKeys(f"# keys\n\n{line('new')}\n{old_line}\n", "test")
    assert (await both.newest()).startswith("file:new:")
    assert (await both.wrap(KEY, b"one")).master_key == await both.newest()
    assert await both.unwrap(wrapped, b"one") == KEY
    assert await both.lacks([wrapped.master_key]) == []
    alone = FileKeys(line("new"), "test")
    assert await alone.lacks([wrapped.master_key]) == [wrapped.master_key]
    with pytest.raises(Refusal) as caught:
        await alone.unwrap(wrapped, b"one")
    assert caught.value.facts["problem"] == "no_master_key"


async def test_another_key_of_the_same_name_is_another_key() -> None:
    wrapped = await FileKeys(line("main"), "test").wrap(KEY, b"one")
    assert await FileKeys(line("main"), "test").lacks([wrapped.master_key]) == [wrapped.master_key]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no key"),
        ("# nothing\n", "holds no key"),
        ("secretvalue", "32 bytes in base64"),
        ("main:secretvalue", "32 bytes in base64"),
        (line(key=os.urandom(31)), "32 bytes in base64"),
        (line(key=os.urandom(33)), "32 bytes in base64"),
        (line(key=bytes(32)), "one byte over and over"),
        (f"{line()}\n{line()}", "twice"),
        (line("n" * (MASTER_KEY_NAME_BYTES_MAX + 1)), "line 1"),
        (line("a b"), "line 1"),
        ("\n".join(line(f"k{n}") for n in range(MASTER_KEYS_MAX + 1)), "at most"),
    ],
    # The keys are others in each process.
    ids=[
        "nothing", "comment", "no name", "no base64", "short", "long", "one byte", "twice",
        "long name", "blank", "many",
    ],
)  # fmt: skip
def test_what_is_no_list_of_keys_is_refused_without_showing_it(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        FileKeys(text, "test")
    assert "secretvalue" not in str(caught.value)


def test_the_longest_name_and_the_most_keys() -> None:
    FileKeys(line("n" * MASTER_KEY_NAME_BYTES_MAX), "test")
    FileKeys("\n".join(line(f"k{n}") for n in range(MASTER_KEYS_MAX)), "test")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys"
    path.write_text(line())
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_master_keys(path)
    path.chmod(0o600)
    assert read_master_keys(path) == path.read_text()


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_master_keys(tmp_path / "none")
    with pytest.raises(ConfigError):
        read_master_keys(tmp_path)
    path = tmp_path / "binary"
    path.write_bytes(b"\xff" * 32)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="ASCII"):
        read_master_keys(path)


async def test_a_configuration_chooses_one_provider(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert choose_provider(ServerConfig()) is None
    path, token = tmp_path / "keys", tmp_path / "token"
    path.write_text(line())
    path.chmod(0o600)
    token.write_text("s.token")
    in_file = ServerConfig(master_key_file=path)
    provider = choose_provider(in_file)
    assert isinstance(provider, FileKeys)
    vault = ServerConfig(
        master_key="vault:eventfold", vault_url="https://vault.test:8200", vault_token_file=token
    )
    assert isinstance(choose_provider(vault), KeyProvider)
    for wrong in (
        ServerConfig(master_key_file=path, master_key="vault:eventfold"),
        ServerConfig(master_key="vault:eventfold"),
        ServerConfig(master_key="nobody:eventfold"),
        ServerConfig(master_key_file=path, vault_url="https://vault.test"),
        ServerConfig(
            master_key="vault:../sys", vault_url="https://vault.test", vault_token_file=token
        ),
        ServerConfig(
            master_key="vault:key", vault_url="http://vault.test:8200", vault_token_file=token
        ),
    ):
        with pytest.raises(ConfigError):
            choose_provider(wrong)
    monkeypatch.setenv(ENVIRONMENT, line("env"))
    with pytest.raises(ConfigError, match="not both"):
        choose_provider(in_file)
    provider = choose_provider(ServerConfig())
    assert provider is not None
    assert (await provider.newest()).startswith("file:env:")
