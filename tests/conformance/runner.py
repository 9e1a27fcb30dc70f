"""Runs conformance cases; docs/conformance.md describes the format."""

from __future__ import annotations

import importlib
import pkgutil
import queue
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import descriptor_pool, json_format
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

import eventfold.v1

from .compare import differences
from .expand import CaseError, Json, Variables, expand
from .transports import Refused, Transport, TransportFault, sdk_can_say

# The loader in C where it exists: the files are long.
_YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FOLDER = Path(__file__).resolve().parent
DETAILS_BYTES_MAX = 4096
EVENTUALLY_PAUSE_SECONDS = 0.05

_CONTRACT = eventfold.v1.__name__
# Registers the services of the contract: none is named here, so that a proto that is added needs no
# line.
for _module in pkgutil.iter_modules(eventfold.v1.__path__, f"{_CONTRACT}."):
    if _module.name.endswith("_pb2"):
        importlib.import_module(_module.name)


class CaseFailed(Exception):
    """The server did not do what the case expects."""


@dataclass(frozen=True)
class Case:
    """One case of a file."""

    subject: str
    name: str
    # What the file declares under `let`.
    texts: dict[str, str]
    # Where steps run that do not say it: `shared`, `tokens` or `fresh`.
    server: str
    steps: list[dict[str, Json]]
    # Of a case that must fail: what the runner must say then.
    fails: str = ""

    @property
    def id(self) -> str:
        """Unique over all files."""
        return f"{self.subject}/{self.name}"

    def is_for(self, transport: str) -> bool:
        """Whether its calls can be made over this transport: the SDK cannot say everything."""
        written = [step.get("metadata", {}) for step in self.steps]
        return transport == "stubs" or all(map(sdk_can_say, written))

    @property
    def targets(self) -> set[str]:
        """Every place where steps of the case run."""
        return {step.get("server", self.server) for step in self.steps}


@cache
def reasons() -> dict[str, dict[str, Json]]:
    """The reasons of the catalogue with code and facts, from `reasons.yaml`."""
    text = (FOLDER / "reasons.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, Json]] = yaml.safe_load(text)
    return loaded


def parse_cases(text: str) -> list[Case]:
    """The cases of one file."""
    document = yaml.load(text, Loader=_YAML_LOADER)
    return [
        Case(
            subject=document["subject"],
            name=case["name"],
            texts=document.get("let", {}),
            server=case.get("server", "shared"),
            steps=case["steps"],
            fails=case.get("fails", ""),
        )
        for case in document["cases"]
    ]


def case_files() -> list[Path]:
    """All case files, in the order of their names."""
    return sorted((FOLDER / "cases").glob("*.yaml"))


def load_cases() -> list[Case]:
    """All cases of all files."""
    return [case for file in case_files() for case in parse_cases(file.read_text(encoding="utf-8"))]


def load_wrong_cases() -> list[Case]:
    """The cases that must fail."""
    return parse_cases((FOLDER / "wrong.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Outcome:
    """What a call gave: an answer, or the reason and the facts of an error, and of a stream of
    messages what came before it.
    """

    answer: Json = None
    reason: str = ""
    facts: Json = None
    message: str = ""


class Runner:
    """Runs cases against servers that are running already."""

    def __init__(self, lease: Callable[[str], AbstractContextManager[Transport]]) -> None:
        """`lease` opens the way to `shared` or `tokens`, and for each call with `fresh` that to a
        store that nobody has used yet; a case closes what it opened."""
        self._lease = lease

    def run(self, case: Case) -> None:
        """Runs all steps; raises CaseFailed at the first that goes wrong."""
        with ExitStack() as stack:
            transports = {
                target: stack.enter_context(self._lease(target)) for target in sorted(case.targets)
            }
            self._run(case, transports)

    def _run(self, case: Case, transports: dict[str, Transport]) -> None:
        variables = Variables(case.texts)
        for number, step in enumerate(case.steps, 1):
            for repetition in range(step.get("repeat", 1)):
                variables.set("n", repetition)
                where = f"{case.id}, step {number} ({step['call']})"
                try:
                    _run_in_time(step, transports[step.get("server", case.server)], variables)
                except (CaseFailed, CaseError, TransportFault) as error:
                    raise type(error)(f"{where}: {error}") from None


def _run_in_time(step: dict[str, Json], transport: Transport, variables: Variables) -> None:
    """Runs a step, again and again if it says that it need not go well at once."""
    ends = time.monotonic() + step.get("eventually", 0)
    while True:
        try:
            _run_step(step, transport, variables)
            return
        except CaseFailed:
            if time.monotonic() >= ends:
                raise
        time.sleep(EVENTUALLY_PAUSE_SECONDS)


def _run_step(step: dict[str, Json], transport: Transport, variables: Variables) -> None:
    metadata = expand(step.get("metadata", {}), variables)
    if "conversation" in step:
        outcome = converse(transport, step["call"], step["conversation"], metadata, variables)
    else:
        stop_at = expand(step["stop_at"], variables) if "stop_at" in step else None
        outcome = call(transport, step["call"], _requests(step, variables), metadata, stop_at)
    error = step.get("error")
    if error is not None:
        _check_error(expand(error, variables), outcome)
        return
    if outcome.reason:
        raise CaseFailed(f"refused: {outcome.reason} {outcome.facts} {outcome.message}")
    problems = list(differences(expand(step.get("expect", {}), variables), outcome.answer))
    if problems:
        raise CaseFailed("\n  ".join(["the answer differs", *problems[:10]]))
    for name, path in step.get("save", {}).items():
        variables.set(name, _at(outcome.answer, path))


def _requests(step: dict[str, Json], variables: Variables) -> list[bytes]:
    if "request_hex" in step:
        return [bytes.fromhex(step["request_hex"])]
    written = step.get("requests", [step.get("request", {})])
    return [encoded(step["call"], expand(request, variables)) for request in written]


def _check_error(expected: dict[str, Json], outcome: Outcome) -> None:
    if not outcome.reason:
        raise CaseFailed(f"expected {expected['reason']}, got an answer: {outcome.answer!s:.300}")
    problems = list(differences(expected["reason"], outcome.reason, "reason"))
    problems += differences(expected.get("facts", {}), outcome.facts, "facts")
    problems += [
        f"{text!r} must not stand in the error"
        for text in expected.get("hidden", [])
        if any(text in told for told in (outcome.message, *outcome.facts.values()))
    ]
    problems += differences(expected.get("sent", {}), outcome.answer, "sent")
    if problems:
        told = f"{outcome.reason} {outcome.facts}: {outcome.message}"
        raise CaseFailed("\n  ".join(["the error differs", *problems, f"it was {told}"]))


def _at(answer: Json, path: str) -> Json:
    found = answer
    for part in path.split("."):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (IndexError, KeyError, TypeError):
            raise CaseFailed(f"the answer has no {path} to save") from None
    return found


def _method(name: str) -> Any:
    """The descriptor of a call `Service.Method`, among all that are registered."""
    try:
        return descriptor_pool.Default().FindMethodByName(f"{_CONTRACT}.{name}")
    except KeyError:
        raise CaseError(f"no call is known as {name}") from None


def encoded(name: str, request: Json) -> bytes:
    """The request of a call `Service.Method`, from protobuf JSON to the bytes of its message."""
    message = _method(name).input_type._concrete_class()
    try:
        json_format.ParseDict(request, message)
    except json_format.ParseError as error:
        raise CaseError(f"the request is not {message.DESCRIPTOR.name}: {error}") from None
    return bytes(message.SerializeToString())


def call(
    transport: Transport,
    name: str,
    requests: list[bytes],
    metadata: dict[str, str],
    stop_at: Json = None,
) -> Outcome:
    """Makes the call with the bytes of requests, which need not be messages: one of them, or any
    number where the method takes a stream. A stream of answers is read to its end, or to the first
    that is as `stop_at` says.
    """
    method = _method(name)
    if len(requests) != 1 and not method.client_streaming:
        raise CaseError(f"{name} takes one request")
    read = method.output_type._concrete_class.FromString
    parts: list[Json] = []
    try:
        if not method.server_streaming:
            return Outcome(_json(read(transport.unary(_path(method), requests[0], metadata))))
        answers = transport.stream(
            _path(method), requests, metadata, many=bool(method.client_streaming)
        )
        for message in answers:
            parts.append(_json(read(message)))
            if stop_at is not None and not list(differences(stop_at, parts[-1])):
                answers.cancel()
                break
        else:
            if stop_at is not None:
                raise CaseFailed(f"the call ended before {stop_at} had come")
    except Refused as refused:
        return replace(_told(refused.status), answer=_merged(method, parts, whole=False))
    return Outcome(_merged(method, parts, whole=True))


def _path(method: Any) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def converse(
    transport: Transport,
    name: str,
    turns: list[dict[str, Json]],
    metadata: dict[str, str],
    variables: Variables,
) -> Outcome:
    """Makes a call in which what is sent depends on what came: turns send a request, or read until
    lists of the answer are as long as they say. After the last the client says that it has no more.
    """
    method = _method(name)
    read = method.output_type._concrete_class.FromString
    requests: queue.Queue[bytes | None] = queue.Queue()
    answers = transport.stream(_path(method), iter(requests.get, None), metadata, many=True)
    messages = iter(answers)
    parts: list[Json] = []
    try:
        for turn in turns:
            if "send" in turn:
                requests.put(encoded(name, expand(turn["send"], variables)))
            wanted = turn.get("receive", {})
            while any(len(_merged(method, parts, whole=False)[key]) < count
                      for key, count in wanted.items()):  # fmt: skip
                parts.append(_json(read(next(messages))))
            for variable, path in turn.get("save", {}).items():
                variables.set(variable, _at(_merged(method, parts, whole=False), path))
        requests.put(None)
        parts.extend(_json(read(message)) for message in messages)
    except StopIteration:
        raise CaseFailed(f"the call ended before {wanted} had come") from None
    except Refused as refused:
        return replace(_told(refused.status), answer=_merged(method, parts, whole=False))
    finally:
        requests.put(None)
        answers.cancel()
    return Outcome(_merged(method, parts, whole=True))


def _json(message: Message) -> Json:
    return _with_errors(json_format.MessageToDict(message, preserving_proto_field_name=True))


def _with_errors(value: Json) -> Json:
    """The value with each `google.rpc.Status` in it checked, and as cases see it."""
    if isinstance(value, list):
        return [_with_errors(item) for item in value]
    if not isinstance(value, dict):
        return value
    if any("@type" in item for item in value.get("details", [])):
        outcome = _told(json_format.ParseDict(value, status_pb2.Status()))
        return {"reason": outcome.reason, "facts": outcome.facts, "message": outcome.message}
    return {key: _with_errors(item) for key, item in value.items()}


def _merged(method: Any, parts: list[Json], *, whole: bool) -> Json:
    """All messages of a stream as one: lists joined, else what the last one says, and how many
    they were. A stream that broke off is not whole: it has no last message.
    """
    fields = method.output_type.fields_by_name
    for mark in set(fields) & {"end", "done"}:
        last = parts[-1] if parts and whole else None
        if (whole and not parts) or any((mark in part) != (part is last) for part in parts):
            raise CaseFailed(f"`{mark}` must stand in the last message, and only there")
    merged: dict[str, Json] = {"messages": len(parts)}
    for name, field in fields.items():
        if field.is_repeated:
            merged[name] = [item for part in parts for item in part.get(name, [])]
        elif parts and name in parts[-1]:
            merged[name] = parts[-1][name]
    # Answers of these come in no order that a case could name.
    if method.name == "HydrateMany":
        merged["streams"].sort(key=lambda one: one["stream"].encode())
    if method.name == "AppendSession":
        merged["answers"].sort(key=lambda one: int(one.get("number", 0)))
    return merged


def _told(status: status_pb2.Status) -> Outcome:
    """What a status says; checks what is true of every error, wherever it stands."""
    told = f"{code_pb2.Code.Name(status.code)}: {status.message}"
    if status.ByteSize() > DETAILS_BYTES_MAX:
        raise CaseFailed(f"a status of {status.ByteSize()} bytes: {told}")
    info = error_details_pb2.ErrorInfo()
    if len(status.details) != 1 or not status.details[0].Unpack(info):
        raise CaseFailed(f"details that are not one ErrorInfo: {told}")
    known = reasons().get(info.reason)
    if info.domain != "eventfold" or known is None:
        raise CaseFailed(f"a reason outside the catalogue: {info.domain} {info.reason}")
    if code_pb2.Code.Name(status.code) != known["code"]:
        raise CaseFailed(f"{info.reason} goes with {known['code']}: {told}")
    facts = dict(info.metadata)
    unknown = facts.keys() - set(known.get("facts", []))
    if unknown:
        raise CaseFailed(f"facts of {info.reason} outside the catalogue: {sorted(unknown)}")
    if not status.message:
        raise CaseFailed(f"the status has no message: {told}")
    return Outcome(reason=info.reason, facts=facts, message=status.message)
