"""Goal: every refusal becomes a status that gRPC carries whole, whatever its facts hold.

Method: all reasons of the catalogue; facts and messages drawn by hypothesis, some huge.
"""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from eventfold.v1 import errors_pb2
from eventfold_server.errors import Refusal
from eventfold_server.status import DETAILS_BYTES_MAX, DOMAIN, code_of, to_status

REASONS = [
    value.name.removeprefix("ERROR_REASON_")
    for value in errors_pb2.ErrorReason.DESCRIPTOR.values
    if value.number
]
# All but lone surrogates, which no protobuf text can hold.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
# Repeated, so that they get longer than anything that hypothesis draws by itself.
LONG = st.builds(lambda text, times: text * times, TEXTS, st.sampled_from([1, 100, 10_000]))
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=20).filter(
    lambda name: name not in {"reason", "message", "self"}
)


def info_of(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    [detail] = status.details
    info = error_details_pb2.ErrorInfo()
    assert detail.Unpack(info)
    return info


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_its_code(reason: str) -> None:
    status = to_status(Refusal(reason, "why", fact=1))
    assert status.code == code_of(reason).value[0] != grpc.StatusCode.OK.value[0]
    assert code_of(reason) is not grpc.StatusCode.UNKNOWN
    info = info_of(status)
    assert (info.reason, info.domain, dict(info.metadata)) == (reason, DOMAIN, {"fact": "1"})


def test_an_unknown_reason_is_a_mistake_that_shows() -> None:
    with pytest.raises(KeyError):
        to_status(Refusal("NO_SUCH_REASON", "why"))


@given(LONG, st.dictionaries(NAMES, LONG, max_size=12))
def test_a_status_is_small_and_keeps_what_fits(message: str, facts: dict[str, str]) -> None:
    status = to_status(Refusal("INVALID_REQUEST", message, **facts))
    assert status.ByteSize() <= DETAILS_BYTES_MAX
    # gRPC sends the message a second time, with most bytes as three.
    assert 3 * len(status.message.encode()) + status.ByteSize() * 4 // 3 < 7_500
    found = dict(info_of(status).metadata)
    assert found.keys() <= facts.keys()
    for name, fact in facts.items():
        if name not in found:
            continue
        # Cut between characters, and marked.
        assert found[name] == fact or (
            found[name].endswith("...") and fact.startswith(found[name][:-3])
        )
    if sum(len(fact.encode()) + 40 for fact in facts.values()) < 3000:
        assert found == facts


def test_a_short_fact_survives_a_huge_one() -> None:
    facts = {"event_index": "7", "excerpt": "ü" * 100_000, "line": "12"}
    found = dict(info_of(to_status(Refusal("INVALID_FOLD", "why", **facts))).metadata)
    assert (found["event_index"], found["line"]) == ("7", "12")
    assert len(found["excerpt"]) > 500
    assert set(found["excerpt"].removesuffix("...")) == {"ü"}


def test_facts_that_are_none_are_left_out() -> None:
    assert Refusal("BUG", "why", a=None, b=0, c="").facts == {"b": "0", "c": ""}
