"""What the conformance cases say of folds, as golden cases."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import uuid
from collections import Counter
from typing import Any

from tests.conformance.expand import Variables, expand, text_of
from tests.conformance.runner import FOLDER, parse_cases
from tests.conformance.runner import Case as Written

# Those that hydrate with a document in the call.
SUBJECTS = ["folds", "numbers", "fold_errors", "unicode", "hydrate", "hydrate_history"]
# What other parts of an answer, or other calls on the way, decide.
_CALLS = {"EventStore.Append", "Folds.Hydrate", "Folds.HydrateHistory", "EventStore.Read"}
# Refused before a fold is read, or for what a fold does not know.
_ELSEWHERE = {
    "INVALID_STREAM_NAME", "INVALID_REQUEST", "VERSION_AHEAD", "POSITION_AHEAD", "FOLD_NOT_FOUND",
}  # fmt: skip
# Where golden cases begin in the log.
POSITION = 100
_IDS = re.compile(r"uuid(?:_upper)?\.([a-z0-9_]+)")


class Found:
    """A golden case on its way: name, document, stream, events, and what the case says of it."""

    def __init__(self, name: str, request: dict[str, Any], events: list[Any]) -> None:
        self.name = name
        self.fold: str = request["fold"]["source"]
        self.stream: str = request["stream"]
        self.events = events
        self.reason = ""
        self.facts: dict[str, str] = {}
        self.state: str | None = None


def found_cases(subject: str) -> list[Found]:
    """The golden cases of a file."""
    text = (FOLDER / "cases" / f"{subject}.yaml").read_text(encoding="utf-8")
    found = [one for case in parse_cases(text) for one in _of_case(case)]
    seen: Counter[str] = Counter()
    for one in found:
        # Names of conformance cases need not be unique.
        seen[one.name] += 1
        one.name += f"-{seen[one.name]}" if seen[one.name] > 1 else ""
    return found


def short(name: str) -> str:
    """Some letters that stand for a name."""
    return hashlib.sha256(name.encode()).hexdigest()[:10]


def stream_of(name: str) -> str:
    """The stream of a case that names none."""
    return f"golden-{short(name)}"


def id_of(stream: str, version: int) -> str:
    """The id of an event that none was said of."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{stream}/{version}"))


def _of_case(case: Written) -> list[Found]:
    if any(step["call"] not in _CALLS for step in case.steps):
        return []
    variables = Variables(case.texts)
    variables.set("run", short(case.id))
    for label in set(_IDS.findall(str(case.steps))):
        # The same at each writing, unlike in a run.
        variables.set(f"uuid.{label}", str(uuid.uuid5(uuid.NAMESPACE_URL, f"{case.id}/{label}")))
    streams: dict[str, list[Any]] = {}
    found: list[Found] = []
    for number, step in enumerate(case.steps, 1):
        for repetition in range(step.get("repeat", 1)):
            variables.set("n", repetition)
            if "request" not in step:
                continue
            request = expand(step["request"], variables)
            if step["call"] == "EventStore.Append" and "error" not in step:
                stored = streams.setdefault(request["stream"], [])
                for name, path in step.get("save", {}).items():
                    place = path.removeprefix("positions.")
                    at = POSITION + len(stored) + int(place) + 1 if place.isdecimal() else path
                    variables.set(name, at)
                stored.extend(_event(event) for event in request["events"])
            elif step["call"].startswith("Folds.") and _is_plain(request):
                name = f"{case.id}-{number}" if len(case.steps) > 2 else case.id
                name += f"-{repetition + 1}" if "repeat" in step else ""
                one = Found(name, request, list(streams.get(request["stream"], [])))
                _told(one, step, variables)
                if one.reason not in _ELSEWHERE:
                    found.append(one)
    return found


def _is_plain(request: dict[str, Any]) -> bool:
    plain = set(request) <= {"stream", "fold", "min_position"}
    return plain and "-" in request.get("stream", "") and set(request.get("fold", {})) == {"source"}


def _event(event: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    others: dict[str, Any] = {}
    if "metadata" in event:
        others["metadata"] = base64.b64decode(event["metadata"]).decode()
    if "tags" in event:
        others["tags"] = sorted(set(event["tags"]), key=str.encode)
    if "id" in event:
        others["id"] = event["id"].lower()
    if "occurred_at" in event:
        at = dt.datetime.fromisoformat(event["occurred_at"])
        others["occurred_us"] = (at - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(
            microseconds=1
        )
    return event["type"], base64.b64decode(event["data"]).decode(), others


def _told(one: Found, step: dict[str, Any], variables: Variables) -> None:
    """Notes what must come of the step; matchers such as `$nonempty` say too little."""
    error = step.get("error")
    if error is not None:
        one.reason = error["reason"]
        facts = expand(error.get("facts", {}), variables)
        one.facts = {
            name: text_of(value)
            for name, value in facts.items()
            if isinstance(value, str | int) and not str(value).startswith("$")
        }
    elif step["call"] == "Folds.Hydrate":
        told = {name: of for name, of in step.get("expect", {}).items() if "state" in name}
        state = expand(told, variables).get("state")
        one.state = None if state is None else base64.b64decode(state).decode()
