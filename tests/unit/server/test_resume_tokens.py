"""Goal: a resume token stands for one position of one log, and never for that of another.

Method: logs in memory that forked at a drawn position; tokens made on one and used on the other;
bytes that are no token.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventfold_server.domain.tokens import (
    IDS_BEFORE,
    IdWindow,
    make_token,
    position_of_token,
    token_after,
)
from eventfold_server.errors import Refusal

TOKEN_BYTES_MAX = 400
PAIRS_MAX = 13
POSITION_MAX = (1 << 63) - 1
OWN, OTHER = UUID(int=1), UUID(int=2)


class Log:
    """A log of `head` events that left another one after position `fork`."""

    def __init__(self, head: int, fork: int | None = None) -> None:
        self._head = head
        self._fork = head if fork is None else fork

    def id_at(self, position: int) -> UUID:
        return uuid5(OWN if position <= self._fork else OTHER, str(position))

    async def ids_at(self, positions: Sequence[int]) -> dict[int, UUID]:
        return {p: self.id_at(p) for p in positions if 1 <= p <= self._head}


def token_at(log: Log, position: int) -> bytes:
    return asyncio.run(make_token(cast(Any, log), position))


def resume(log: Log, token: bytes) -> int:
    return asyncio.run(position_of_token(cast(Any, log), token))


def pairs_of(token: bytes) -> list[tuple[int, UUID]]:
    return [(p, UUID(bytes=id_)) for p, id_ in struct.iter_unpack(">Q16s", token[1:])]


@given(st.one_of(st.integers(0, 10_000), st.integers(0, POSITION_MAX)))
def test_a_token_is_small_and_stands_for_its_position(position: int) -> None:
    log = Log(POSITION_MAX)
    token = token_at(log, position)
    assert len(token) < TOKEN_BYTES_MAX
    assert resume(log, token) == position
    positions = [found for found, _ in pairs_of(token)]
    expected = [position, *(position - 2**n for n in range(PAIRS_MAX - 1))]
    assert positions == [one for one in expected if one >= 1]
    assert all(id_ == log.id_at(found) for found, id_ in pairs_of(token))


@given(st.integers(1, 9000), st.data())
def test_a_fork_is_noticed_and_dated(position: int, data: st.DataObject) -> None:
    fork = data.draw(st.integers(0, position))
    head = data.draw(st.integers(fork, 10_000))
    token = token_at(Log(10_000), position)
    other = Log(head, fork)
    if fork == position:
        assert resume(other, token) == position
        return
    with pytest.raises(Refusal) as refused:
        resume(other, token)
    assert refused.value.reason == "STORE_INCARNATION_CHANGED"
    common = int(refused.value.facts["common_position"])
    assert common <= fork
    assert refused.value.facts["token_position"] == str(position)
    # At most twice as far back as need be, within the reach of the token.
    if position - fork <= 2 ** (PAIRS_MAX - 2):
        assert position - common < 2 * (position - fork) or common == 0


@given(st.binary(max_size=420))
def test_other_bytes_are_no_token(token: bytes) -> None:
    if token == b"\x01":
        assert resume(Log(10), token) == 0
        return
    with pytest.raises(Refusal) as refused:
        resume(Log(10), token)
    assert refused.value.reason in {"INVALID_RESUME_TOKEN", "STORE_INCARNATION_CHANGED"}


@given(st.integers(1, 9000), st.data())
def test_a_token_that_was_cut_or_changed_is_none(position: int, data: st.DataObject) -> None:
    log = Log(10_000)
    token = token_at(log, position)
    cut = data.draw(st.integers(0, len(token) - 1))
    if cut != 1:
        with pytest.raises(Refusal, match="INVALID_RESUME_TOKEN"):
            resume(log, token[:cut])
    with pytest.raises(Refusal, match="INVALID_RESUME_TOKEN"):
        resume(log, token + data.draw(st.binary(min_size=1, max_size=48)))
    place = data.draw(st.integers(0, len(token) - 1))
    changed = bytearray(token)
    changed[place] ^= data.draw(st.integers(1, 255))
    newest = 1 <= place < 25
    if newest or place == 0:
        with pytest.raises(Refusal):
            resume(log, bytes(changed))


def test_positions_beyond_those_of_a_log_are_none() -> None:
    pair = struct.pack(">Q16s", 1 << 63, OWN.bytes)
    with pytest.raises(Refusal, match="INVALID_RESUME_TOKEN"):
        resume(Log(10), b"\x01" + pair)


def ids_of(log: Log, first: int, last: int) -> bytes:
    return b"".join(log.id_at(position).bytes for position in range(max(first, 1), last + 1))


@given(st.integers(0, 6_000), st.lists(st.integers(1, 3_000), max_size=8))
def test_a_window_of_ids_makes_the_same_tokens(start: int, steps: list[int]) -> None:
    """As the tail goes on, however much comes at once."""
    log = Log(POSITION_MAX)
    window = IdWindow(start, ids_of(log, start - IDS_BEFORE, start))
    assert window.is_whole
    for step in steps:
        window.extend(ids_of(log, window.last + 1, window.last + step))
    assert window.last == start + sum(steps)
    assert window.token() == token_at(log, window.last)
    assert window.last_id == (log.id_at(window.last) if window.last else None)


def test_a_window_that_lacks_ids_is_not_whole() -> None:
    log = Log(POSITION_MAX)
    assert not IdWindow(5_000, ids_of(log, 4_000, 5_000)).is_whole
    assert not IdWindow(10, ids_of(log, 2, 10)).is_whole


def follow(log: Log, before: bytes, position: int, sent: tuple[int, bytes] | None) -> bytes:
    return asyncio.run(token_after(cast(Any, log), before, position, sent))


@given(st.integers(0, 3_000), st.integers(0, 3_000), st.integers(0, 6_100), st.data())
def test_a_token_follows_another_on_the_same_log_only(
    before: int, step: int, fork: int, data: st.DataObject
) -> None:
    """Whatever was sent, or is about to be, must still be in the log."""
    old, position = Log(10_000), before + step
    token = token_at(old, before)
    place = data.draw(st.integers(before, position))
    sent = (place, old.id_at(place).bytes) if place > before else None
    assert follow(old, token, position, sent) == token_at(old, position)
    new = Log(data.draw(st.integers(fork, 10_000)), fork)
    if fork >= position:
        assert follow(new, token, position, sent) == token_at(old, position)
    elif fork < before or (sent is not None and fork < sent[0]):
        with pytest.raises(Refusal) as refused:
            follow(new, token, position, sent)
        changed = fork < before
        reason = "STORE_INCARNATION_CHANGED" if changed else "STORAGE_UNAVAILABLE"
        assert refused.value.reason == reason
