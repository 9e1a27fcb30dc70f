"""Goal: the limits that the proto promises are those that the server has.

Method: figures in the comments of the protos against the declared limits; a comment that changes
has to change here too.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eventfold_server import limits
from eventfold_server.storage import database

PROTO = Path(__file__).resolve().parents[3] / "proto/eventfold/v1"
CORE = limits.CORE
KIB, MIB = 1024, 1024 * 1024

# File, words of a comment with the figure in them, and what it must be.
PROMISES = [
    ("event_store", "deadline get one of {} s", limits.UNARY_DEADLINE_S_DEFAULT),
    ("event_store", "more than {} s are cut", limits.UNARY_DEADLINE_S_MAX),
    ("event_store", "are cut to {} s", limits.UNARY_DEADLINE_S_MAX),
    ("event_types", "The call counts for {} s", limits.TYPES_COUNT_S_MAX),
    ("appends", "such as `MoneyDeposited`; 1 to {} bytes", CORE["event_type_bytes_max"]),
    ("appends", "at most {} MiB and 64 levels", CORE["event_data_bytes_max"] / MIB),
    ("appends", "at most 1 MiB and {} levels", CORE["json_depth_max"]),
    ("appends", "at most {} KiB and 64 levels", CORE["event_metadata_bytes_max"] / KIB),
    ("appends", "not kept. At most {}, each", CORE["event_tags_max"]),
    ("appends", "each of 1 to {} bytes", CORE["tag_bytes_max"]),
    ("appends", "`category-id`, at most {} bytes", limits.STREAM_NAME_BYTES_MAX),
    ("appends", "1 to {} events, in their order", limits.APPEND_EVENTS_MAX),
    ("appends", "{} MiB at the most together", limits.APPEND_BYTES_MAX / MIB),
    ("appends", "limits of one append: {} events", limits.APPEND_EVENTS_MAX),
    ("appends", "1,000 events, {} MiB with all names", limits.APPEND_BYTES_MAX / MIB),
    ("appends", "At most {} checks", limits.APPEND_CHECKS_MAX),
    ("event_store", "stops reading while {} appends", limits.SESSION_APPENDS_MAX),
    ("event_store", "256 appends or {} MiB of a session", limits.SESSION_BYTES_MAX / MIB),
    ("appends", "up to {} MiB a message", limits.MESSAGE_RECEIVE_BYTES_MAX / MIB),
    ("appends", "Above 0; default {} s", limits.UNARY_DEADLINE_S_DEFAULT),
    ("event_store", "of these types; empty, the default: all. At most {}", limits.FILTER_TYPES_MAX),
    (
        "event_store",
        "categories; empty, the default: all. At most {}",
        limits.FILTER_CATEGORIES_MAX,
    ),
    ("event_store", "no demand. At most {}", limits.FILTER_TAGS_MAX),
    ("event_store", "Opaque, under {} bytes", 400),
    ("event_store", "next events in order; about {} MiB", limits.PAGE_BYTES / MIB),
    ("event_store", "Most streams to return, 1 to {}.", limits.LIST_PAGE_SIZE_MAX),
    ("event_store", "1 to 1,000. 0, the default: {}.", limits.LIST_PAGE_SIZE_DEFAULT),
    ("folds", "YAML 1.2 or JSON; at most {} KiB", limits.FOLD_SOURCE_BYTES_MAX / KIB),
    ("folds", "Most folds to return, 1 to {}.", limits.LIST_PAGE_SIZE_MAX),
    ("folds", "1 to 1,000. 0, the default: {}.", limits.LIST_PAGE_SIZE_DEFAULT),
    (
        "subscriptions",
        "The server sends a frame at least every {} s",
        limits.SUBSCRIPTION_HEARTBEAT_S,
    ),
    ("subscriptions", "Nothing else was to be sent for {} s", limits.SUBSCRIPTION_HEARTBEAT_S),
    ("subscriptions", "Sent every {} s at the most", limits.SUBSCRIPTION_CHECKPOINT_S),
    (
        "subscriptions",
        "categories; empty, the default: all. At most {}",
        limits.FILTER_CATEGORIES_MAX,
    ),
    (
        "subscriptions",
        "of these types; empty, the default: all. At most {}",
        limits.FILTER_TYPES_MAX,
    ),
    ("subscriptions", "no demand. At most {}", limits.FILTER_TAGS_MAX),
    ("subscriptions", "to send; at most {} KiB", CORE["expression_bytes_max"] / KIB),
    ("subscriptions", "Opaque, under {} bytes", 400),
    ("subscriptions", "at least one, and about {} MiB", limits.PAGE_BYTES / MIB),
    ("event_store", "or {} s, is DEADLINE_EXCEEDED", limits.UNARY_DEADLINE_S_MAX),
    ("folds", "or {} s, is DEADLINE_EXCEEDED", limits.UNARY_DEADLINE_S_MAX),
    ("consumer_groups", "1 s to 12 h; default {} s", limits.GROUP_ACK_TIMEOUT_S_DEFAULT),
    ("consumer_groups", "1 s to {} h; default 30 s", limits.GROUP_ACK_TIMEOUT_S_MAX / 3600),
    ("consumer_groups", "{} s to 12 h; default 30 s", limits.GROUP_ACK_TIMEOUT_S_MIN),
    ("consumer_groups", "is parked; 1 to {}.", limits.GROUP_ATTEMPTS_MAX),
    ("consumer_groups", "1 to 1,000,000. 0, the default: {}.", limits.GROUP_ATTEMPTS_DEFAULT),
    ("consumer_groups", "to be retried; 0 s to {} h", limits.GROUP_RETRY_S_MAX / 3600),
    ("consumer_groups", "24 h; default {} s", limits.GROUP_RETRY_INITIAL_S_DEFAULT),
    ("consumer_groups", "further attempt; 1 to {}.", limits.GROUP_RETRY_FACTOR_MAX),
    ("consumer_groups", "1 to 100. 0, the default: {}.", limits.GROUP_RETRY_FACTOR_DEFAULT),
    ("consumer_groups", "Default: {} s, or `retry_initial`", limits.GROUP_RETRY_S_DEFAULT),
    ("consumer_groups", "1 to {} bytes without control", limits.GROUP_NAME_BYTES_MAX),
    ("consumer_groups", "look at the group; up to {} bytes", limits.GROUP_CONSUMER_BYTES_MAX),
    ("consumer_groups", "At most {} may be open", limits.GROUP_CREDITS_MAX),
    ("consumer_groups", "in any order; 1 to {}.", limits.GROUP_SETTLEMENT_EVENTS_MAX),
    ("consumer_groups", "Cut to {} bytes", limits.GROUP_REASON_BYTES_MAX),
    ("consumer_groups", "of parked events, at most {}", limits.GROUP_PARKED_MAX),
    ("consumer_groups", "alive within the last {} s", limits.GROUP_ALIVE_S),
    ("consumer_groups", "order of their start; at most {}", limits.GROUP_CONSUMERS_SHOWN_MAX),
    ("errors", "is longer than {} bytes, holds control", limits.STREAM_NAME_BYTES_MAX),
    ("errors", "type is empty, longer than {} bytes", CORE["event_type_bytes_max"]),
    ("errors", "tag is empty, longer than {} bytes", CORE["tag_bytes_max"]),
    ("errors", "or there are more than {}", CORE["event_tags_max"]),
    ("errors", "metadata nests deeper than {} levels", CORE["json_depth_max"]),
    ("errors", "Data of an event is larger than {} MiB", CORE["event_data_bytes_max"] / MIB),
    ("errors", "of an event is larger than {} KiB", CORE["event_metadata_bytes_max"] / KIB),
    ("errors", "come to more than {} MiB together", limits.APPEND_BYTES_MAX / MIB),
    ("errors", "An append holds more than {} events", limits.APPEND_EVENTS_MAX),
    ("errors", "fold document is larger than {} KiB", limits.FOLD_SOURCE_BYTES_MAX / KIB),
    ("errors", "expression is longer than {} KiB", CORE["expression_bytes_max"] / KIB),
    ("errors", "expression nests deeper than {} levels", CORE["expression_depth_max"]),
    ("errors", "grew beyond {} MiB of JSON", CORE["state_bytes_max"] / MIB),
    ("errors", "event cost more than {} evaluation", CORE["evaluation_steps_max"]),
]


def comments(name: str) -> str:
    """All comments of a proto as running text."""
    lines = (PROTO / f"{name}.proto").read_text().splitlines()
    words = [line.strip().removeprefix("//") for line in lines if line.strip().startswith("//")]
    return " ".join(" ".join(words).split())


@pytest.mark.parametrize(("file", "words", "limit"), PROMISES)
def test_a_promised_limit_is_the_one_in_force(file: str, words: str, limit: float) -> None:
    before, after = words.split("{}")
    pattern = re.escape(before) + r"([0-9][0-9,]*)" + re.escape(after)
    found = re.findall(pattern, comments(file), re.IGNORECASE)
    assert found, f"no comment of {file}.proto says `{words}`"
    assert {float(figure.replace(",", "")) for figure in found} == {limit}


def test_limits_fit_each_other() -> None:
    # The typed reason comes before gRPC's own error.
    assert limits.APPEND_BYTES_MAX + MIB < limits.MESSAGE_RECEIVE_BYTES_MAX
    assert limits.CALLER_CALLS_MAX < limits.CONCURRENT_CALLS_MAX < limits.CONCURRENT_RPCS_MAX
    # A page and the largest event that ends it stay below gRPC's default of 4 MiB, though pages
    # count 300 bytes for what an event has besides data, metadata and tags: names of stream, type
    # and writer, three ids, the trace, and numbers, times and keys.
    largest = CORE["event_data_bytes_max"] + CORE["event_metadata_bytes_max"]
    besides = limits.STREAM_NAME_BYTES_MAX + CORE["event_type_bytes_max"] + limits.WRITER_BYTES_MAX
    besides += 3 * 36 + limits.TRACE_CONTEXT_BYTES_MAX + 100
    tags = CORE["event_tags_max"] * (CORE["tag_bytes_max"] + 8)
    uncounted = limits.PAGE_BYTES // 300 * (besides - 300)
    assert limits.PAGE_BYTES + largest + tags + uncounted < 4 * MIB
    # No statement outlives the longest call, and no dead connection the longest statement.
    assert database.STATEMENT_S_MAX >= limits.UNARY_DEADLINE_S_MAX
    assert database.DEAD_AFTER_S > database.STATEMENT_S_MAX
    # Whoever takes over from a server that stands still need not wait for locks after its lease.
    assert database.TRANSACTION_IDLE_S_MAX <= limits.PROJECTION_LEASE_S
    assert limits.UNARY_DEADLINE_S_DEFAULT <= limits.UNARY_DEADLINE_S_MAX
