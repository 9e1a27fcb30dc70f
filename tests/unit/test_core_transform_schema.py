"""Goal: editors that check transform documents by `docs/transform.schema.json` agree with the core.

Method: documents that the core takes must pass the schema; documents whose form it refuses must
not. The schema knows nothing of expressions, and nothing of what one part says of another.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from tests.support.transforms import JOB, Source, page

from eventfold import _core

DOCS = Path(__file__).resolve().parents[2] / "docs"
SCHEMA = json.loads((DOCS / "transform.schema.json").read_text(encoding="utf-8"))
EXAMPLES = re.findall(
    r"```yaml\n(.*?)```", (DOCS / "transforms.md").read_text(encoding="utf-8"), re.DOTALL
)

HEAD = "transform: t\nsource: {category: a}\ninto: [b]\nstream: \"'b-1'\"\n"
GOOD = [
    *EXAMPLES,
    HEAD + "others: keep",
    HEAD + "others: keep\nlet: {a: 1, b: event.c}\nevents: {}\nverify: {from: a, to: b.c-d}",
    HEAD + "events: {A: drop, B: {}, C: [{}], $Closed: {type: D}}",
    HEAD + "events: {A: {when: true, tags: \"[]\", data: event.x, metadata: {'.': '{}'}}}",
    HEAD + "events: {A: {data: {\"['a.b']\": 1, c: null}, stream: event.s, type: T}}",
    "transform: t\nsource: {categories: [a, c]}\ninto: b\nstream: meta.id\nothers: keep",
    "transform: t\nsource: {stream: a-1}\ninto: a\nstream: meta.id\nothers: keep",
    "transform: t\nsource: {streams: [a-1, a-é]}\ninto: a\nstream: meta.id\nothers: keep",
    "transform: t\nsource: {log: true}\ninto: a\nstream: meta.id\nothers: keep",
]
BAD = [
    "[]",
    HEAD,
    HEAD + "events: {}",
    HEAD + "others: drop",
    HEAD + "others: copy",
    HEAD + "nope: 1\nothers: keep",
    HEAD + "let: [a]\nothers: keep",
    HEAD + "let: {a: [1]}\nothers: keep",
    HEAD + "verify: {from: a}\nothers: keep",
    HEAD + "verify: {from: a, to: 'a b'}\nothers: keep",
    HEAD + "events: [A]\nothers: keep",
    HEAD + "events: {'': {}}",
    HEAD + "events: {A: keep}",
    HEAD + "events: {A: null}",
    HEAD + "events: {A: []}",
    HEAD + "events: {A: [drop]}",
    HEAD + "events: {A: {rename: B}}",
    HEAD + "events: {A: {type: $B}}",
    HEAD + "events: {A: {type: ''}}",
    HEAD + "events: {A: {tags: [a]}}",
    HEAD + "events: {A: {data: [a]}}",
    HEAD + "events: {A: {data: {a: {b: 1}}}}",
    HEAD + "events: {A: {data: {'': 1}}}",
    HEAD + "events: {A: {data: ''}}",
    HEAD + "events: {A: {stream: {a: 1}}}",
    HEAD.replace("transform: t", "transform: ''") + "others: keep",
    HEAD.replace("[b]", "[]") + "others: keep",
    HEAD.replace("[b]", "b-1") + "others: keep",
    HEAD.replace("category: a", "category: a-1") + "others: keep",
    HEAD.replace("category: a", "category: a, log: true") + "others: keep",
    HEAD.replace("category: a", "categories: [a, a]") + "others: keep",
    HEAD.replace("category: a", "stream: a") + "others: keep",
    HEAD.replace("category: a", "streams: []") + "others: keep",
    HEAD.replace("category: a", "log: false") + "others: keep",
    HEAD.replace("{category: a}", "a") + "others: keep",
    HEAD.replace("source", "from") + "others: keep",
]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("source", GOOD)
def test_what_the_core_takes_passes(source: str) -> None:
    _core.Transform(source)
    jsonschema.validate(yaml.safe_load(source), SCHEMA)


@pytest.mark.parametrize("source", BAD)
def test_what_the_core_refuses_for_its_form_does_not_pass(source: str) -> None:
    with pytest.raises(_core.CoreError) as caught:
        _core.Transform(source)
    assert caught.value.reason == "INVALID_TRANSFORM"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(source), SCHEMA)


def test_the_example_of_the_docs_copies_events() -> None:
    july = 867_715_200_000_000
    events = [
        Source("Purchased", b'{"amount": 11.77, "cds":1}', occurred_us=july),
        Source("OrderPlacedAndPaid", b'{"order":7,"lines":[],"paid":0}', occurred_us=july - 1),
        Source("OrderPlacedAndPaid", b'{"order":8,"lines":[],"paid":5}', occurred_us=july),
        Source("PageViewed", b"{}"),
    ]
    for event in events:
        event.stream = "Customer-1"
    copies = _core.Transform(EXAMPLES[0]).apply(page(events), JOB, _core.Rules(0))
    assert (copies.next, copies.failed) == (4, None)
    told = {
        append.stream: list(zip(*append.columns(-2, "me")[4:6], strict=True))
        for append in copies.appends
    }
    assert told == {
        "CustomerMonth-1-1997-07": [
            ("PurchaseMade", b'{"cds":1,"price":{"amount":11.77,"currency":"USD"}}'),
            ("OrderPlaced", b'{"order":8,"lines":[]}'),
            ("OrderPaid", b'{"order":8,"paid":5}'),
        ],
        "CustomerMonth-1-1997-06": [("OrderPlaced", b'{"order":7,"lines":[]}')],
    }
