"""Goal: the core folds as the documented semantics say, whatever the document and the events.

Method: Hypothesis makes documents and events; a model in plain Python (`tests/support`) folds the
same, and both must come to equal states (order of keys included) or both to an error. Documents
have nested and computed paths, removals, lists of handlers with `when`, `let`, `delete`, decimals
and optionals.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given, reject, settings
from tests.support.fold_model import ModelError, OutOfModel, encode, fold, ordered, text_of
from tests.support.fold_strategies import DOCUMENTS, EVENTS

from eventfold import _core


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
