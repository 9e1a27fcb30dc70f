"""Goal: every reason of the catalogue has a class that says what it means.

Method: compare the classes with the enum of errors.proto, and with their fields in use.
"""

from __future__ import annotations

import copy
import pickle

import pytest

import eventfold
from eventfold._errors import EventfoldError
from eventfold._generated.errors import BY_REASON
from eventfold.v1 import errors_pb2

BUILTINS = {
    "INVALID_ARGUMENT": ValueError,
    "NOT_FOUND": LookupError,
    "OUT_OF_RANGE": IndexError,
    "UNAUTHENTICATED": PermissionError,
    "PERMISSION_DENIED": PermissionError,
    "UNAVAILABLE": ConnectionError,
    "DEADLINE_EXCEEDED": TimeoutError,
}
CATALOGUE = [value for value in errors_pb2.ErrorReason.DESCRIPTOR.values if value.number]
SDK_ERRORS = [
    eventfold.InvalidValue,
    eventfold.ConnectionFailed,
    eventfold.UnexpectedAnswer,
    eventfold.InsecureConnection,
]


def test_every_reason_has_a_class_and_no_class_lacks_a_reason() -> None:
    assert set(BY_REASON) == {value.name.removeprefix("ERROR_REASON_") for value in CATALOGUE}


@pytest.mark.parametrize("value", CATALOGUE, ids=lambda value: value.name)
def test_a_class_mirrors_its_entry(value: object) -> None:
    entry = value.GetOptions().Extensions[errors_pb2.error]  # type: ignore[attr-defined]
    reason = value.name.removeprefix("ERROR_REASON_")  # type: ignore[attr-defined]
    cls = BY_REASON[reason]
    assert cls.__name__ == "".join(part.capitalize() for part in reason.split("_"))
    assert getattr(eventfold, cls.__name__) is cls
    assert (cls.__doc__ or "").strip()
    assert cls.reason == reason
    error = cls._make("", dict.fromkeys(entry.facts, "7"))
    assert isinstance(error, EventfoldError)
    assert error.message
    assert str(error).startswith(f"{reason}: ")
    # Violations are no plain text.
    for fact in set(entry.facts) - {"violations"}:
        assert getattr(error, fact) in (7, "7")
    if builtin := BUILTINS.get(error.code):
        assert isinstance(error, builtin)


@pytest.mark.parametrize("cls", [*BY_REASON.values(), *SDK_ERRORS], ids=lambda cls: cls.__name__)
def test_errors_can_be_copied_and_sent_to_another_process(cls: type[EventfoldError]) -> None:
    error = cls._make("text", {"limit": 3})
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is cls
        assert (twin.message, twin.facts, twin.reason) == ("text", {"limit": "3"}, cls.reason)


def test_a_fact_that_is_missing_or_no_number_is_none() -> None:
    assert eventfold.InvalidTag().limit is None
    assert eventfold.InvalidTag("", {"limit": "many"}).limit is None


def test_a_version_conflict_has_numbers() -> None:
    error = eventfold.VersionConflict(3, 5)
    assert (error.expected, error.actual) == (3, 5)
    assert error.message == "expected version 3, found 5"
    made = eventfold.VersionConflict._make("", {"expected": "exists", "actual": "0"})
    assert isinstance(made, eventfold.VersionConflict)
    assert made.expected is eventfold.EXISTS
    assert made.actual == 0
