"""Cases on times: zones, their changes and their past, dates and durations."""

from __future__ import annotations

ZONES = [
    "UTC", "Europe/Berlin", "Europe/London", "Europe/Dublin", "Europe/Lisbon", "Europe/Moscow",
    "America/New_York", "America/Sao_Paulo", "America/St_Johns", "America/Caracas",
    "Asia/Kathmandu", "Asia/Pyongyang", "Asia/Tehran", "Asia/Gaza", "Africa/Casablanca",
    "Africa/Monrovia", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Chatham",
    "Antarctica/Troll", "Etc/GMT+12", "EST5EDT",
]  # fmt: skip
OFFSETS = ["+05:30", "-08:00", "+00:00", "-00:30", "05:45"]

# Both sides of changes, years without rules of their own, the ends of what there is.
INSTANTS = [
    "2024-03-31T00:59:59Z", "2024-03-31T01:00:00Z", "2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z",
    "2024-11-03T05:59:59.999999Z", "2024-11-03T06:00:00Z", "2011-12-30T09:59:59Z",
    "2011-12-30T10:00:00Z", "2007-12-09T06:59:59Z", "2018-05-04T15:00:00Z", "2024-02-29T23:59:59Z",
    "2023-04-02T15:30:00Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z",
    "1972-01-07T00:44:29Z", "1945-05-24T12:00:00Z", "1900-01-01T00:00:00Z", "1883-11-18T17:00:00Z",
    "1582-10-10T12:00:00Z", "0001-01-02T00:00:00Z", "2037-07-01T12:00:00Z", "2099-07-01T12:00:00Z",
    "9999-12-30T12:00:00Z",
]  # fmt: skip

_PARTS = [
    "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfYear", "getDayOfWeek",
    "getHours", "getMinutes", "getSeconds", "getMilliseconds",
]  # fmt: skip


def _zone(zone: str) -> str:
    parts = ", ".join(f"at.{part}('{zone}')" for part in _PARTS)
    return f'    "zones[\'{zone}\']": "[timestamp(event.at)].map(at, [{parts}])[0]"\n'


def _by_zone(zones: list[str]) -> str:
    return "fold: zones\nhandlers:\n  At:\n" + "".join(map(_zone, zones))


def _each(name: str, fold: str, data: list[str]) -> tuple[str, str, list[tuple[str, str]]]:
    return name, fold, [("At", text) for text in data]


CASES = [
    # The zones of the case come with each event, so that a state says them of all instants.
    *(
        _each(f"zones-at-{instant}", _by_zone(ZONES + OFFSETS), [f'{{"at":"{instant}"}}'])
        for instant in INSTANTS
    ),
    _each(
        "zones-that-are-none",
        'fold: zones\nhandlers:\n  At:\n    hour: "timestamp(event.at).getHours(event.zone)"\n',
        ['{"at":"2024-01-01T00:00:00Z","zone":"Europe/Atlantis"}'],
    ),
    _each(
        "zones-in-another-case",
        'fold: zones\nhandlers:\n  At:\n    hour: "timestamp(event.at).getHours(event.zone)"\n',
        ['{"at":"2024-01-01T00:00:00Z","zone":"europe/berlin"}'],
    ),
    _each(
        "sums-of-times",
        "fold: sums\ninitial: {all: []}\nhandlers:\n  At:\n"
        '    all: "state.all + [timestamp(event.at) + duration(event.by), '
        "timestamp(event.at) - duration(event.by), "
        "timestamp(event.at) - timestamp('2000-01-01T00:00:00Z'), "
        "duration(event.by) + duration('1h30m0.000001s'), -duration(event.by)]\"\n",
        [
            '{"at":"2024-02-28T23:59:59.999999Z","by":"1s"}',
            '{"at":"2024-12-31T12:00:00+14:00","by":"-36h"}',
            '{"at":"1999-12-31T23:59:59.5-03:30","by":"0.000001s"}',
        ],
    ),
    _each(
        "times-out-of-range",
        'fold: f\nhandlers:\n  At:\n    x: "timestamp(event.at) + duration(event.by)"\n',
        ['{"at":"9999-12-31T23:59:59Z","by":"1s"}'],
    ),
    _each(
        "times-too-fine",
        'fold: f\nhandlers:\n  At:\n    x: "timestamp(event.at)"\n',
        ['{"at":"2024-01-01T00:00:00.1234567Z"}'],
    ),
    _each(
        "durations",
        "fold: f\ninitial: {all: []}\nhandlers:\n  At:\n"
        '    all: "state.all + [duration(event.d), duration(event.d).getHours(), '
        "duration(event.d).getMinutes(), duration(event.d).getSeconds(), "
        "duration(event.d).getMilliseconds(), string(duration(event.d)), "
        "duration(event.d) < duration('1m')]\"\n",
        [f'{{"d":"{d}"}}' for d in ("0s", "1.5s", "-90m", "26h61m61s", "1ms", "1us", "-0.5s")],
    ),
    _each(
        "what-is-no-time",
        'fold: f\nhandlers:\n  At:\n    x: "timestamp(event.at)"\n',
        ['{"at":"2024-02-30T00:00:00Z"}'],
    ),
    _each(
        "times-and-numbers",
        "fold: f\ninitial: {all: []}\nhandlers:\n  At:\n"
        '    all: "state.all + [int(timestamp(event.at)), timestamp(event.n), '
        'string(timestamp(event.at)), type(timestamp(event.at)) == type(meta.occurred_at)]"\n',
        [
            '{"at":"2024-06-01T12:00:00.25Z","n":1717243200}',
            '{"at":"1960-01-01T00:00:00Z","n":-1}',
        ],
    ),
]
