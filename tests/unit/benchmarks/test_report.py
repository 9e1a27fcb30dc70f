"""Goal: the report says what the figures say: ratios, aims, charts that browsers show.

Method: results made by hand; charts are parsed as XML.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import aims
import figures
import plots
import pytest
import report
from candidates import BARE, EVENTFOLD, PEERS, ROWS, SUBSCRIBE, UMADB
from figures import Consumption, Delivery, Figure, Results, Stalled, Writer
from workloads import append, hydrate, read

SVG = "{http://www.w3.org/2000/svg}"


def figure(workload: str, candidate: str, rate: float, events: int = 1) -> Figure:
    return Figure(
        workload, candidate, events, rate, rate * 0.9, rate * 1.1, 1, 2, 3, 100, 10, 20, 30, 5
    )


def results(*found: Figure) -> Results:
    return Results({"command": "peers", "versions": {"one": "1.0"}}, list(found), [], [], [])


def test_an_aim_is_met_at_its_factor_and_missed_below() -> None:
    name = append(32).name
    [met] = aims.verdicts(results(figure(name, EVENTFOLD, 1_200), figure(name, UMADB, 1_000)))
    [missed] = aims.verdicts(results(figure(name, EVENTFOLD, 900), figure(name, UMADB, 1_000)))
    assert (met.factor, met.met, met.outcome) == (1.2, True, "met")
    assert (missed.met, missed.outcome) == (False, "missed by 25 %")


def test_the_fastest_peer_is_known_only_when_all_were_measured() -> None:
    name = hydrate(1_000).name
    names = [name for both in PEERS.values() for name in both]
    peers = [figure(name, one, 100 + number) for number, one in enumerate(names)]
    own = figure(name, EVENTFOLD, 500)
    [verdict] = aims.verdicts(results(own, *peers))
    assert verdict.peer == names[-1]
    assert aims.verdicts(results(own, *peers[:-1])) == []


def test_the_floor_of_a_hydration_is_the_read_of_its_rows() -> None:
    own = figure(hydrate(100_000).name, EVENTFOLD, 7)
    floor = figure(read(100_000).name, ROWS, 10)
    [verdict] = aims.verdicts(results(own, floor))
    # 0.7 of its speed is within 1.5 times of its duration.
    assert verdict.met


def test_growth_compares_the_last_step_with_the_first() -> None:
    name = append(32).name
    steps = [
        figure(f"{name}, at {events:,} events", EVENTFOLD, rate)
        for events, rate in ((1_000, 100), (2_000, 50), (3_000, 80))
    ]
    [verdict] = aims.verdicts(results(*steps))
    assert verdict.factor == 0.8
    assert not verdict.met


def test_the_page_names_ratios_faults_and_versions() -> None:
    found = results(figure("read", EVENTFOLD, 300), figure("read", UMADB, 100))
    found.faults.append({"workload": "read", "candidate": "emmett", "why": "it hung"})
    page = report.markdown(found)
    row = next(line for line in page.splitlines() if line.startswith(f"| {UMADB} "))
    assert row.endswith("| 3.00x |")
    assert "emmett at read: it hung" in page
    assert "one 1.0" in page


def test_subscriptions_are_compared_with_the_rows_and_have_tables_of_their_own(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.jsonl"
    writer = Writer(path, {"command": "subscriptions"})
    for name, rate in ((SUBSCRIBE, 3.0), (EVENTFOLD, 4.0), (BARE, 2.0)):
        writer.write("figure", figure("catch up", name, rate, 1_000))
    delivery = Delivery(
        "another server", 100, 50, -0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 2.25, 2.75, 700, 80, 9_000
    )
    writer.write("delivery", delivery)
    writer.write("consumption", Consumption("ordered", 16, 9_000, 8_000, 9_500, 1, 1, 2, 3, 5))
    writer.write("stalled", Stalled("live", 20, 80, 50, 51, 64))
    report.write(path)
    page = (tmp_path / "run.md").read_text().splitlines()
    # The ratio is that of Subscribe to each of the others.
    assert next(line for line in page if line.startswith(f"| {BARE} ")).endswith("| 1.50x |")
    assert next(line for line in page if line.startswith("| eventfold |")).endswith("| 0.75x |")
    assert (
        "| through another server | 100 | -0.5 | 1.5 | 2.5 (2.25 to 2.75) | 3.5 | 4.5 | 5.5 "
        "| 700 | 80 | 9,000 |"
    ) in page
    assert "| ordered | 16 | 9,000 (8,000 to 9,500) | 1.0 | 2.0 | 3.0 |" in page
    assert "| live | 20 | 80 | 50 | 2.5 | 64 | 51 |" in page


def test_a_report_stands_beside_its_results(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    writer = Writer(path, {"command": "peers"})
    for length, rate in ((100, 900.0), (1_000, 300.0), (10_000, 40.0)):
        writer.write("figure", figure(hydrate(length).name, EVENTFOLD, rate, length))
    written = report.write(path)
    assert [one.name for one in written] == ["run.jsonl", "run.md", "run-hydrate.svg"]
    assert "run-hydrate.svg" in (tmp_path / "run.md").read_text()
    assert figures.read(path).head == {"command": "peers"}


def chart(**changes: object) -> plots.Chart:
    series = [
        plots.Series("ours & <theirs>", [(100, 0.5), (1_000, 3), (10_000, 40)]),
        plots.Series("other", [(100, 0.51), (10_000, 41)]),
    ]
    values = {"title": "Time", "x_title": "events", "y_title": "ms", "series": series}
    return plots.Chart(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("from_zero", [False, True])
def test_a_chart_is_xml_within_its_frame(from_zero: bool) -> None:
    root = ET.fromstring(plots.svg(chart(y_from_zero=from_zero)))
    assert root.tag == f"{SVG}svg"
    lines = root.findall(f"{SVG}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 2]
    for point in root.iter(f"{SVG}circle"):
        assert 0 < float(point.attrib["cx"]) < plots.WIDTH
        assert 0 < float(point.attrib["cy"]) < plots.HEIGHT
    assert "ours & <theirs>" in [text.text for text in root.iter(f"{SVG}text")]


def test_more_time_stands_higher_and_labels_do_not_cover_each_other() -> None:
    root = ET.fromstring(plots.svg(chart()))
    heights = [float(one.attrib["cy"]) for one in root.iter(f"{SVG}circle")][:3]
    assert heights == sorted(heights, reverse=True)
    names = {"ours & <theirs>", "other"}
    places = [float(one.attrib["y"]) for one in root.iter(f"{SVG}text") if one.text in names]
    assert abs(places[0] - places[1]) >= 15


def test_a_chart_needs_points_above_zero() -> None:
    with pytest.raises(ValueError, match="above 0"):
        plots.svg(chart(series=[plots.Series("none", [])]))
    with pytest.raises(ValueError, match="above 0"):
        plots.svg(chart(series=[plots.Series("zero", [(1, 0.0)])]))


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5"), (20, "20"), (1_000, "1k"), (2_500_000, "2.5M")]
)
def test_axes_show_short_numbers(value: float, text: str) -> None:
    assert plots.number_text(value) == text
