"""The report of a run: a page of tables and some charts beside its file of JSON lines.

`python benchmarks/report.py FILE` writes them again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import aims
import data
import event_type_report
import figures
import plots
import projection_report
import subscription_report
from candidates import BARE, EVENTFOLD, LOADGEN, NOTES, PEERS, ROWS, SUBSCRIBE
from figures import Figure, Results
from pages import digits, factor, table, wrapped
from workloads import IN_FLIGHT, append, hydrate, read

_TITLES = {
    "own": "eventfold, alone",
    "peers": "eventfold beside its peers",
    "growth": "eventfold and UmaDB as they grow",
    "subscriptions": "Subscriptions and consumer groups",
    "projections": "Projections",
    "event-types": "Schemas and mappings",
}
_COMPARED = (EVENTFOLD, *(name for both in PEERS.values() for name in both))


def write(path: Path) -> list[Path]:
    """Writes the page and the charts that the figures allow; returns their paths."""
    results = figures.read(path)
    written = []
    shown = []
    for name, chart in charts(results):
        target = path.with_name(f"{path.stem}-{name}.svg")
        target.write_text(plots.svg(chart))
        written.append(target)
        shown.append(f"![{chart.title}]({target.name})")
    page = path.with_suffix(".md")
    page.write_text(markdown(results, shown))
    return [path, page, *written]


def markdown(results: Results, shown: Sequence[str] = ()) -> str:
    """The page; `shown`: what includes the charts."""
    head = results.head
    title = _TITLES.get(str(head.get("command")), "Benchmarks")
    blocks = [f"# {title}", _machine(results), *_aims(results), *shown]
    workloads = list(dict.fromkeys(one.workload for one in results.figures))
    if workloads:
        blocks += ["## Speed", _SPEED_TEXT]
    blocks += [_table_of(results, workload) for workload in workloads]
    blocks += subscription_report.blocks(results)
    blocks += projection_report.blocks(results)
    blocks += event_type_report.blocks(results)
    blocks += _sizes(results) + _faults(results) + _notes(results)
    return "\n\n".join(blocks) + "\n"


_SPEED_TEXT = (
    "Median of the rounds with the lowest and the highest; times of single operations from all\n"
    "rounds; CPU time of one operation in the client, the server and PostgreSQL. The last column\n"
    "says how many times as fast eventfold was in the same run: a ratio of medians."
)


def _machine(results: Results) -> str:
    head = results.head
    machine = ", ".join(
        [
            str(head.get("cpu")),
            f"{head.get('cores')} cores",
            f"{head.get('memory_gib')} GiB",
            str(head.get("system")),
            f"Python {head.get('python')}",
        ]
    )
    advice = "Client, server and PostgreSQL share the machine. What to keep are the ratios."
    lines = [
        f"{head.get('date')}: {machine}. {advice}",
        "",
        f"{head.get('rounds')} rounds of {head.get('seconds')} s"
        + (f"; {head['events']:,} events in each store." if head.get("events") else "."),
        "",
    ]
    versions = head.get("versions", {})
    lines += [", ".join(f"{name} {version}" for name, version in versions.items())]
    # Long lines of names are left to the reader's editor: a list would be longer than the page.
    return "\n".join(wrapped(lines))


def _aims(results: Results) -> list[str]:
    verdicts = aims.verdicts(results)
    if not verdicts:
        return []
    rows = [
        [one.what, f"{factor(one.aim)} {one.peer}", factor(one.factor), one.outcome]
        for one in verdicts
    ]
    met = sum(one.met for one in verdicts)
    header = ["Workload", "Aim, at least", "Reached", ""]
    text = f"{met} of {len(verdicts)} aims are met."
    return ["## Aims", text, table(header, rows)]


def _table_of(results: Results, workload: str) -> str:
    found = [one for one in results.figures if one.workload == workload]
    own = results.find(workload, SUBSCRIBE) or results.find(workload, EVENTFOLD)
    large = found[0].events > 1
    header = ["", "ms" if large else "operations/s", "events/s", "p50 ms", "p99 ms", "p99.9 ms"]
    header += ["client us", "server us", "PostgreSQL us", "eventfold is"]
    rows = [_row(one, own, large) for one in found]
    return f"**{workload[0].upper()}{workload[1:]}**\n\n{table(header, rows)}"


def _row(one: Figure, own: Figure | None, large: bool) -> list[str]:
    if large:
        spread = f"{digits(1000 / one.rate_highest)} to {digits(1000 / one.rate_lowest)}"
        speed = f"{digits(one.ms)} ({spread})"
    else:
        speed = f"{one.rate:,.0f} ({one.rate_lowest:,.0f} to {one.rate_highest:,.0f})"
    ratio = "" if own is None or one is own else factor(own.rate / one.rate)
    return [
        one.candidate,
        speed,
        f"{one.events_a_second:,.0f}",
        *(digits(value) for value in (one.p50_ms, one.p99_ms, one.p999_ms)),
        *(f"{value:,.0f}" for value in (one.client_us, one.server_us, one.postgres_us)),
        ratio,
    ]


def _sizes(results: Results) -> list[str]:
    if not results.sizes:
        return []
    rows = [
        [one.candidate, f"{one.events:,}", f"{one.bytes_an_event:,.0f}", f"{one.load_s:,.0f}"]
        for one in results.sizes
    ]
    header = ["", "events", "bytes on disk an event", "seconds to fill"]
    text = (
        "Tables with their indexes, or the store's own file, without write-ahead logs. Stores are\n"
        "filled side by side and each in the quickest way that it has: not a comparison of speed."
    )
    return ["## Disk", text, table(header, rows)]


def _faults(results: Results) -> list[str]:
    if not results.faults:
        return []
    lines = [f"- {one['candidate']} at {one['workload']}: {one['why']}" for one in results.faults]
    return ["## Failed", "\n".join(wrapped(lines))]


def _notes(results: Results) -> list[str]:
    names = dict.fromkeys(one.candidate for one in results.figures)
    lines = [f"- {name}: {NOTES[name]}." for name in names if name in NOTES]
    return ["## How each is driven", "\n".join(wrapped(lines))] if lines else []


def charts(results: Results) -> Iterable[tuple[str, plots.Chart]]:
    """Charts for which the run has at least two points of a line."""
    if results.head.get("command") == "event-types":
        # What it compares are not stores.
        return
    for name, workload_of, verb in (("hydrate", hydrate, "Hydrate"), ("read", read, "Read")):
        compared = _COMPARED if name == "hydrate" else (*_COMPARED, ROWS)
        lines = [
            plots.Series(candidate, _points(results, candidate, workload_of, data.LENGTHS))
            for candidate in (*compared, BARE)
        ]
        title = f"{verb} a stream, by its number of events"
        yield from _chart(name, title, "events in the stream", "milliseconds", lines)
    lines = [
        plots.Series(name, _points(results, name, append, IN_FLIGHT, rate=True))
        for name in (*_COMPARED, BARE, LOADGEN)
    ]
    title = "Append single events with exact versions"
    yield from _chart("append", title, "appends in flight", "appends a second", lines)
    yield from _growth(results)


def _points(
    results: Results, candidate: str, workload_of: object, values: Sequence[int], rate: bool = False
) -> list[tuple[float, float]]:
    points = []
    for value in values:
        assert callable(workload_of)
        found = results.find(workload_of(value).name, candidate)
        if found is not None:
            points.append((float(value), found.rate if rate else found.ms))
    return points


def _growth(results: Results) -> Iterable[tuple[str, plots.Chart]]:
    steps = results.steps
    for name, workload, rate in (("append", append(32), True), ("hydrate", hydrate(1_000), False)):
        lines = []
        for candidate in dict.fromkeys(one.candidate for one in results.figures):
            found = [
                (float(step), one.rate if rate else one.ms)
                for step in steps
                if (one := results.find(f"{workload.name}, at {step:,} events", candidate))
            ]
            lines.append(plots.Series(candidate, found))
        unit = "appends a second" if rate else "milliseconds"
        title = f"{workload.name[0].upper()}{workload.name[1:]}, as the store grows"
        yield from _chart(name, title, "events in the store", unit, lines, y_from_zero=True)


def _chart(
    name: str,
    title: str,
    x_title: str,
    y_title: str,
    lines: Iterable[plots.Series],
    *,
    y_from_zero: bool = False,
) -> Iterable[tuple[str, plots.Chart]]:
    drawn = [one for one in lines if len(one.points) > 1]
    if drawn:
        yield name, plots.Chart(title, x_title, y_title, drawn, y_from_zero)


if __name__ == "__main__":
    for one in write(Path(sys.argv[1])):
        print(one)
