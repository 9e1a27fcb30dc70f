"""Answers of queries while everything moves, each held against the model at its own position."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import grpc
from tests.faults.project.calls import Calls, calling
from tests.faults.project.documents import Document, Folding, LogEvent, Row, of_text

from eventfold.v1 import projections_pb2 as pb

CALL_S = 10.0
PAUSE_S = 0.05


@dataclass(frozen=True)
class Answer:
    """What one query returned, and when the log was how far."""

    name: str
    generation: int
    position: int
    # The key that was asked for; None: all rows.
    key: str | None
    rows: list[pb.ProjectionRow]
    # Of a count: the rows, with more than so many events.
    counted: tuple[int, int] | None = None


@dataclass
class Asking:
    """Queries one after the other, until it is stopped."""

    addresses: Callable[[], str]
    seed: int
    # Of each projection: some keys to ask for, and the column that counts compare.
    keys: dict[str, list[str]]
    counted: dict[str, str]
    allowed: frozenset[grpc.StatusCode] = frozenset()
    answers: list[Answer] = field(default_factory=list)
    refused: list[grpc.RpcError] = field(default_factory=list)
    # The document of each generation that answered, by name and generation.
    sources: dict[tuple[str, int], str] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        """Asks; an error that is not allowed is raised."""
        pick = random.Random(self.seed)
        while not stop.is_set():
            try:
                with calling(self.addresses()) as calls:
                    while not stop.is_set():
                        begin = time.perf_counter()
                        answer = self._ask(calls.stub, pick)
                        self.latencies_s.append(time.perf_counter() - begin)
                        self._note(calls, answer)
            except grpc.RpcError as error:
                if error.code() not in self.allowed:
                    raise
                self.refused.append(error)
                time.sleep(PAUSE_S)

    def _note(self, calls: Calls, answer: Answer) -> None:
        """An answer, if it can be known which document it is of: else its generation has gone."""
        which = answer.name, answer.generation
        if which not in self.sources:
            for one in calls.get(answer.name).generations:
                self.sources[answer.name, one.generation] = one.source
        if which in self.sources:
            self.answers.append(answer)

    def wrong(self, log: Iterable[LogEvent]) -> list[str]:
        """Answers that are not those of the model at their position; the first of them."""
        documents = {which: of_text(source) for which, source in self.sources.items()}
        return wrong(log, self.answers, documents, self.counted)

    def _ask(self, stub: Any, pick: random.Random) -> Answer:
        name = pick.choice(list(self.keys))
        if pick.random() < 0.3:
            above = pick.randrange(10)
            asked = pb.CountProjectionRequest(name=name, filter=f"{self.counted[name]} > {above}")
            count = stub.CountProjection(asked, timeout=CALL_S)
            fresh = count.freshness
            return Answer(name, fresh.generation, fresh.position, None, [], (above, count.rows))
        key = pick.choice(self.keys[name])
        request = pb.QueryProjectionRequest(name=name, filter=f"key == '{key}'")
        found = stub.QueryProjection(request, timeout=CALL_S)
        fresh = found.freshness
        return Answer(name, fresh.generation, fresh.position, key, list(found.rows))


def wrong(
    log: Iterable[LogEvent],
    answers: Iterable[Answer],
    documents: dict[tuple[str, int], Document],
    counted: dict[str, str],
) -> list[str]:
    """Answers that are not those of the model at their position; the first of them."""
    waiting = sorted(answers, key=lambda one: one.position)
    foldings = {which: Folding(document, {}) for which, document in documents.items()}
    faults: list[str] = []
    at = 0

    def compare(position: int) -> None:
        nonlocal at
        while at < len(waiting) and waiting[at].position == position:
            faults.extend(_fault(waiting[at], foldings, documents, counted))
            at += 1

    compare(0)
    for event in log:
        for folding in foldings.values():
            folding.add(event)
        compare(event.position)
        if len(faults) > 10:
            break
    if at < len(waiting) and len(faults) <= 10:
        faults.append(f"an answer is at {waiting[at].position}, beyond the log")
    return faults


def _fault(
    answer: Answer,
    foldings: dict[tuple[str, int], Folding],
    documents: dict[tuple[str, int], Document],
    counted: dict[str, str],
) -> list[str]:
    which = (answer.name, answer.generation)
    if which not in foldings:
        return [f"{answer.name} answered from generation {answer.generation}, which never was"]
    folding, document = foldings[which], documents[which]
    title = f"{answer.name} {answer.generation} at {answer.position}"
    if answer.counted is not None:
        above, rows = answer.counted
        index = document.columns.index(counted[answer.name])
        expected = folding.count(lambda row: row.shown and int(row.columns[index] or 0) > above)
        if rows != expected:
            return [f"{title}: {rows} rows above {above}, but should be {expected}"]
        return []
    assert answer.key is not None
    row = folding.row(answer.key)
    ours = [] if row is None or not row.shown else [_values(document, answer.key, row)]
    theirs = [
        (one.key, one.version, one.position, json.loads(one.columns, parse_float=Decimal))
        for one in answer.rows
    ]
    if ours != theirs:
        return [f"{title}: {answer.key} is {theirs}, but should be {ours}"]
    return []


def _values(document: Document, key: str, row: Row) -> tuple[Any, ...]:
    columns = zip(document.columns, row.columns, strict=True)
    return key, row.version, row.position, {name: _value(name, text) for name, text in columns}


def _value(name: str, text: str | None) -> Any:
    """A column as JSON has it, from how PostgreSQL writes it."""
    if text is None or name in {"last", "note", "type"}:
        return text
    return json.loads(text, parse_float=Decimal)
