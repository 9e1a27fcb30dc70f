"""Cases beyond those of the conformance suite: what a platform could make different."""

from __future__ import annotations

from typing import Any

from tests.golden.conformance import id_of, stream_of

Case = tuple[str, str, list[Any]]


def _one(name: str, expression: str, *data: str) -> Case:
    """A fold that lists what the expression gives for each event."""
    fold = f"fold: one\ninitial: {{all: []}}\nhandlers:\n  T:\n    all: >-\n      {expression}\n"
    return name, fold, [("T", text) for text in data]


def _listed(name: str, items: list[str], *data: str) -> Case:
    return _one(name, "state.all + [" + ", ".join(items) + "]", *data)


_TEXTS = (
    '{"s":"","n":0}', '{"s":"Grüße, Jürgen","n":3}', '{"s":"a😀b\\u0000c","n":1}',
    '{"s":"ﬀ ß İ ı Σς","n":2}', '{"s":"e\\u0301 \\u00e9","n":1}', '{"s":"  tab\\t\\u00a0\\u2003","n":4}',
)  # fmt: skip
_PATTERNS = [
    "^a+$", r"\\bJ\\pL+n\\b", "(?i)GRÜSSE|grüße", r"\\d{2,}", "[[:alpha:]]+", r"\\p{Greek}",
    ".{3}", "(?s).", "^$", "(a|b)*c", r"\\x{1F600}", "[^a-z]", r"\\s+$", "(?-u:a)",
]  # fmt: skip
_DOUBLES = (
    "1.0 / 3.0", "0.1 + 0.2", "1e308 * 10.0", "5e-324", "2.22507385850720e-308", "1e22", "1e21",
    "123456789012345.0", "math.sqrt(2.0)", "math.sqrt(1e-300)", "math.round(2.5)", "-0.0",
    "math.round(-2.5)", "math.ceil(1.00000000000001)", "math.trunc(-1e300)", "double('1e-7')",
)  # fmt: skip
_DECIMALS = [
    "decimal(event.a) / decimal(event.b)", "event.a * event.b", "event.a + event.b",
    "event.a - event.b", "round(event.a, 2)", "roundHalfUp(event.a, 2)", "round(event.a, -1)",
    "decimal(event.a) % decimal(event.b)", "math.abs(event.a)", "math.floor(event.a)",
    "math.ceil(event.a)", "math.greatest(event.a, event.b)", "event.a == event.b",
    "string(event.a)", "event.a < event.b", "math.sign(event.a)", "decimal(string(event.a))",
]  # fmt: skip

CASES: list[Case] = [
    _listed(
        "texts",
        [
            "size(event.s)", "event.s.lowerAscii()", "event.s.upperAscii()", "event.s.reverse()",
            "event.s.trim()", "event.s.split('')", "event.s.split(' ', 2)", "strings.quote(event.s)",
            "event.s.indexOf('ü')", "event.s.lastIndexOf('e')", "event.s.replace('e', '€')",
            "event.s + 'é'", "event.s < 'a'", "bytes(event.s)", "base64.encode(bytes(event.s))",
            "string(base64.decode(base64.encode(bytes(event.s))))", "size(bytes(event.s))",
            "event.s.contains('\\u0301')", "'%s|%d|%x|%.3f|%e'.format([event.s, event.n, event.n, "
            "double(event.n), double(event.n)])",
        ],
        *_TEXTS[:2], *_TEXTS[3:],
    ),  # fmt: skip
    _listed(
        "patterns",
        [f"event.s.matches('{pattern}')" for pattern in _PATTERNS[:-1]],
        *_TEXTS[:2], *_TEXTS[3:],
    ),  # fmt: skip
    _listed("patterns-of-events", ["event.s.matches(event.p)"], '{"s":"aab","p":"^a*b$"}'),
    _listed("patterns-that-are-none", ["event.s.matches(event.p)"], '{"s":"a","p":"("}'),
    _listed("patterns-that-look-around", ["event.s.matches(event.p)"], '{"s":"ab","p":"a(?=b)"}'),
    _listed(
        "patterns-that-are-large",
        ["event.s.matches(event.p)"],
        '{"s":"a","p":"(((a{100}){100}){100}){100}"}',
    ),
    _listed("doubles", [text for text in _DOUBLES if text != "1e308 * 10.0"], "{}"),
    *(
        _one(f"double-{number}", f"state.all + [{text}]", "{}")
        for number, text in enumerate(_DOUBLES)
    ),
    *(
        _one(f"decimal-{number}", f"state.all + [{text}]", *pairs)
        for number, text in enumerate(_DECIMALS)
        for pairs in [
            (
                '{"a":1.005,"b":3}', '{"a":-2.5,"b":0.7}', '{"a":12345678901234567890.12345678,"b":1e-9}',
                '{"a":0.1,"b":0.2}', '{"a":1e30,"b":7.00}', '{"a":-0.000,"b":2.50}',
            )
        ]
    ),
    _one("decimals-beyond", "state.all + [event.a * event.a]", '{"a":9.9e5000}'),
    _one("decimals-by-zero", "state.all + [decimal(event.a) / decimal(0)]", '{"a":1}'),
    _one("ints-beyond", "state.all + [event.a + 1]", '{"a":9223372036854775807}'),
    _one("ints-of-64-bits", "state.all + [event.a - 1, event.a, -event.a]",
         '{"a":9223372036854775807}', '{"a":4294967296}', '{"a":-2147483649}'),
    _one("uints", "state.all + [uint(event.a) * 2u, uint(event.a) / 3u, uint(event.a) % 7u]",
         '{"a":4294967296}', '{"a":9223372036854775807}'),
    _listed(
        "bits",
        [
            "math.bitAnd(event.a, 0xff00ff)", "math.bitOr(event.a, 1)", "math.bitXor(event.a, -1)",
            "math.bitNot(event.a)", "math.bitShiftLeft(event.a, 33)",
            "math.bitShiftRight(event.a, 33)", "math.bitShiftRight(event.a, 64)",
        ],
        '{"a":1311768467463790320}', '{"a":-1}', '{"a":4294967295}',
    ),  # fmt: skip
    _listed(
        "lists",
        [
            "event.l.sort()", "event.l.distinct()", "event.l.reverse()", "event.l.first()"
            ".orValue(0)", "event.l.slice(0, 2)", "[event.l, [event.l]].flatten(2)",
            "event.l.sortBy(x, -x)", "event.l.map(x, x * 2)", "event.l.filter(x, x > 1)",
            "event.l.exists(x, x == 2.0)", "2 in event.l", "lists.range(3)",
            "event.l.transformMap(i, x, x > 1, [i, x]) == {}",
        ],
        '{"l":[3,1,2.0,2,1.50,10]}', '{"l":[1e2,100,99.9999999999999999999]}',
    ),  # fmt: skip
    ("maps-keep-their-order",
     'fold: f\ninitial: {m: {}}\nhandlers:\n  T:\n    "m[event.k]": "event"\n    n: "state.m"\n',
     [("T", '{"k":"z","b":1,"a":2}'), ("T", '{"k":"10","9":{},"8":[]}'), ("T", '{"k":"é"}'),
      ("T", '{"k":"z","a":1}'), ("T", '{"k":""}')]),
    ("keys-that-javascript-knows",
     'fold: f\nhandlers:\n  T:\n    "m[event.k]": "event.k"\n    "[\'__proto__\']": "event"\n',
     [("T", '{"k":"__proto__"}'), ("T", '{"k":"constructor"}'), ("T", '{"k":"toString"}'),
      ("T", '{"k":"1"}'), ("T", '{"k":"0"}')]),
    ("all-of-meta",
     'fold: f\nhandlers:\n  T:\n    all: "[meta.id, meta.stream, meta.category, meta.stream_id, '
     "meta.root, meta.type, meta.writer, meta.version, meta.position, meta.recorded_at, "
     "meta.occurred_at, meta.tags, meta.metadata, meta.mapped, meta.copied_from, "
     "meta.recorded_at.getHours('Asia/Tokyo')]\"\n",
     [("T", "{}", {"metadata": '{"causation_id":"c","x":[1.0]}', "tags": ["a", "é"],
                   "writer": "billing", "recorded_us": 1_700_000_000_123_456,
                   "occurred_us": -62_135_596_800_000_000, "position": 9_007_199_254_740_993}),
      ("T", "{}", {"flags": 32, "copied_from": "00000000-0000-0000-0000-0000000000aa",
                   "occurred_us": 253_402_300_799_999_999, "version": 7})]),
    ("values-that-are-gone",
     'fold: f\ninitial: {seen: 0}\nhandlers:\n  T:\n    name: "event.name"\n'
     '    greeting: "\'Hello \' + event.name"\n    mail: "event.?mail"\n'
     '    seen: "state.seen + 1"\n    gone: "erased(event.name)"\n'
     '    "by[event.name]": 1\n    list: "[event.name, event.?mail.orValue(\'none\')]"\n',
     [("T", '{"name":"Ada","mail":"a@b"}'),
      ("T", '{"name":null,"mail":null}', {"erased_paths": ["/name"], "withheld_paths": ["/mail"]}),
      ("U", "{}")]),
    ("what-is-cancelled",
     'fold: f\ninitial: {sum: 0}\nskip_cancelled: true\nhandlers:\n'
     '  T: {sum: "state.sum + event.n"}\n',
     [("T", '{"n":1}'), ("T", '{"n":10}'),
      ("Undone", "{}", {"cancels": id_of(stream_of("what-is-cancelled"), 1)}), ("T", '{"n":100}')]),
    ("payloads-that-are-deleted",
     'fold: f\ninitial: {n: 0}\nhandlers:\n  T: {n: "state.n + 1"}\n',
     [("T", "{}"), ("T", "", {"deleted": True})]),
    ("data-that-are-no-json", 'fold: f\nhandlers:\n  T: {n: "event.n"}\n', [("T", '{"n":01}')]),
    ("data-with-keys-that-stand-twice",
     'fold: f\nhandlers:\n  T: {n: "event.n"}\n', [("T", '{"n":1,"n":2}', {"flags": 1})]),
    ("data-that-nest-too-deep",
     'fold: f\nhandlers:\n  T: {n: "event.n"}\n', [("T", '{"n":' + "[" * 70 + "]" * 70 + "}")]),
    ("data-as-deep-as-may-be",
     'fold: f\nhandlers:\n  T: {n: "event.n"}\n', [("T", '{"n":' + "[" * 62 + "]" * 62 + "}")]),
    ("states-that-nest-too-deep",
     'fold: f\ninitial: {n: []}\nhandlers:\n  T: {n: "[state.n]"}\n', [("T", "{}")] * 70),
    ("states-that-are-large",
     'fold: f\ninitial: {s: "0123456789abcdef"}\nhandlers:\n  T: {s: "state.s + state.s"}\n',
     [("T", "{}")] * 17),
    ("states-that-are-too-large",
     'fold: f\ninitial: {s: "0123456789abcdef", l: []}\nhandlers:\n  T: {s: "state.s + state.s"}\n'
     '  U: {l: "state.l + [state.s]"}\n', [*[("T", "{}")] * 16, *[("U", "{}")] * 3]),
    ("texts-that-are-too-long",
     'fold: f\ninitial: {s: "0123456789abcdef"}\nhandlers:\n  T: {s: "state.s + state.s"}\n',
     [("T", "{}")] * 19),
    ("lists-that-are-long",
     'fold: f\ninitial: {l: [], n: 0}\nhandlers:\n'
     '  T: {l: "state.l + lists.range(500)", n: "state.l.map(x, x * 3).filter(x, int(x) % 2 == 0).size()"}\n',
     [("T", "{}")] * 12),
    ("too-many-steps",
     'fold: f\nhandlers:\n  T: {n: "lists.range(1100).map(x, lists.range(1100))"}\n', [("T", "{}")]),
    ("many-steps",
     'fold: f\nhandlers:\n  T: {n: "lists.range(300).map(x, lists.range(300).exists(y, y > 298))'
     '.size()"}\n', [("T", "{}")]),
    ("expressions-as-deep-as-may-be",
     'fold: f\nhandlers:\n  T: {n: "' + "[" * 78 + "event.n" + "]" * 78 + '.size()"}\n',
     [("T", '{"n":1}')]),
    ("expressions-that-are-deep",
     'fold: f\nhandlers:\n  T: {n: "' + "(" * 94 + "event.n" + ")" * 94 + '"}\n',
     [("T", '{"n":1}')]),
    ("expressions-that-are-too-deep",
     'fold: f\nhandlers:\n  T: {n: "' + "(" * 200 + "event.n" + ")" * 200 + '"}\n', []),
    ("conditions-that-are-deep",
     'fold: f\nhandlers:\n  T: {n: "' + "event.n == 1 ? 1 : (" * 90 + "0" + ")" * 90 + '"}\n',
     [("T", '{"n":1}'), ("T", '{"n":2}')]),
    ("macros-in-macros",
     'fold: f\nhandlers:\n  T: {n: "' + "".join(f"event.l.map(v{i}, " for i in range(12))
     + "v0 + v11" + ")" * 12 + '"}\n', [("T", '{"l":[1]}'), ("T", '{"l":[1.5]}')]),
    ("delete-and-again",
     'fold: f\ninitial: {n: 0}\nhandlers:\n  T: {n: "state.n + 1"}\n  Gone: delete\n',
     [("T", "{}"), ("Gone", "{}"), ("Other", "{}"), ("T", "{}")]),
    ("deleted", 'fold: f\nhandlers:\n  Gone: delete\n', [("Gone", "{}")]),
    ("no-events", "fold: f\ninitial: {b: 1.50, a: [], c: {z: null, é: 1e400}}\n", []),
    ("a-document-in-json",
     '{"fold": "f", "initial": {"n": 0}, "handlers": {"T": {"n": "state.n + 1"}}}', [("T", "{}")]),
    ("versions-with-gaps",
     'fold: f\nhandlers:\n  T: {n: "meta.version"}\n',
     [("T", "{}", {"version": 3}), ("T", "{}", {"version": 4_294_967_297})]),
]  # fmt: skip
