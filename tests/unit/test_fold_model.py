"""Goal: the core folds as the documented semantics say, whatever the document and the events.

Method: Hypothesis makes documents and events; a model in plain Python (`tests/support`) folds the
same, and both must come to equal states (order of keys included) or both to an error. Documents
have nested and computed paths, removals, lists of handlers with `when`, `let`, `delete`, decimals
and optionals. Events have values that are absent, too, as messages tell them.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given, reject, settings
from tests.support.fold_model import (
    ERASED,
    WITHHELD,
    ModelError,
    OutOfModel,
    encode,
    fold,
    ordered,
    text_of,
    without_absent,
)
from tests.support.fold_strategies import DOCUMENTS, EVENTS, GONE_EVENTS

from eventfold import _core
from eventfold.v1 import event_store_pb2 as pb


@settings(max_examples=300, deadline=None)
@given(document=DOCUMENTS, events=EVENTS)
def test_the_core_folds_as_the_model(document: dict[str, Any], events: Any) -> None:
    try:
        compiled = _core.Fold(text_of(document))
    except _core.CoreError:
        # What surely fails, such as adding a text to a number, need not compile.
        return
    try:
        expected = fold(document, events)
    except ModelError:
        expected = None
    except OutOfModel:
        reject()
    run = compiled.run("a-1", "a-1")
    try:
        for version, (kind, event) in enumerate(events, 1):
            event_id = f"00000000-0000-0000-0000-{version:012d}"
            data = encode(event).encode()
            run.feed_event(kind, data, b"", [], event_id, version, version, 0, 0, "w")
        result = run.finish()
        state = json.loads(result.state, parse_float=Decimal)
        found = (result.exists, state)
    except _core.CoreError:
        found = None
    if expected is None or found is None:
        assert expected == found
    else:
        assert (found[0], ordered(found[1])) == (expected[0], ordered(expected[1]))


@settings(max_examples=200, deadline=None)
@given(document=DOCUMENTS, events=GONE_EVENTS)
def test_absent_values_are_folded_as_in_the_model(document: dict[str, Any], events: Any) -> None:
    try:
        compiled = _core.Fold(text_of(document))
    except _core.CoreError:
        return
    try:
        exists, state = fold(document, events)
        expected = (exists, *without_absent(state))
    except ModelError:
        expected = None
    except OutOfModel:
        reject()
    try:
        found = _folded(compiled, events)
    except _core.CoreError:
        found = None
    if expected is None or found is None:
        assert expected is None, found
        assert found is None, expected
        return
    gone = {ERASED: found.erased_paths, WITHHELD: found.withheld_paths}
    public = json.loads(found.public_state, parse_float=Decimal)
    assert (found.exists, ordered(public), gone) == (expected[0], ordered(expected[1]), expected[2])
    # What it goes on from is the text with the words in these places.
    words = _core.state_with_absent(found.public_state, found.erased_paths, found.withheld_paths)
    assert words == found.state


def _folded(compiled: _core.Fold, events: Any) -> _core.FoldResult:
    """What the core makes of events as messages have them, cut in two at some place."""
    run = compiled.run("a-1", "a-1")
    for version, (kind, event) in enumerate(events, 1):
        if version == len(events) // 2 + 1 > 1:
            before = run.finish()
            # A deleted aggregate goes on from nothing, which a text alone does not say.
            if before.exists:
                run = compiled.run(
                    "a-1",
                    "a-1",
                    state=before.state,
                    version=before.version,
                    position=before.position,
                )
        data, gone = without_absent(event)
        message = pb.RecordedEvent(
            id=f"00000000-0000-0000-0000-{version:012d}",
            stream="a-1",
            type=kind,
            version=version,
            position=version,
            data=encode(data).encode(),
            erased_paths=gone[ERASED],
            withheld_paths=gone[WITHHELD],
        )
        run.feed_recorded(_core.RecordedEvent(message.SerializeToString()))
    return run.finish()
