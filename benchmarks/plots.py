"""Line charts as SVG: small, without scripts, readable on light and on dark ground."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 44, 48
_LABEL_GAP = 16
_NAMESPACE = "http://www.w3.org/2000/svg"
# Far enough from white and from black; neighbours differ in lightness as well as in hue.
_COLOURS = (
    "#2f7fd1",
    "#d9772b",
    "#c0392b",
    "#3f9c56",
    "#a259c4",
    "#8a8f98",
    "#b0912a",
    "#25a0a0",
    "#d0609a",
)
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.axis { fill: #59636e }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.line { fill: none; stroke-width: 2 }
.first { stroke-width: 3.5 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .axis { fill: #9198a1 }
  .grid { stroke: #3d444d }
}
"""


@dataclass(frozen=True)
class Series:
    """A line with its name; the first of a chart is drawn bolder."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """Both axes are logarithmic, so that a ratio is a distance, unless `y_from_zero`."""

    title: str
    x_title: str
    y_title: str
    series: Sequence[Series]
    y_from_zero: bool = False


class _Scale:
    """From values to pixels."""

    def __init__(self, low: float, high: float, start: float, end: float, log: bool) -> None:
        self._log = log
        self._low, self._high = self._of(low), self._of(high)
        self._start, self._end = start, end

    def _of(self, value: float) -> float:
        return math.log10(value) if self._log else value

    def __call__(self, value: float) -> float:
        span = self._high - self._low or 1.0
        share = (self._of(value) - self._low) / span
        return self._start + share * (self._end - self._start)


def svg(chart: Chart) -> str:
    """The chart as a document. Needs at least one point, and values above 0."""
    xs = sorted({x for one in chart.series for x, _ in one.points})
    ys = [y for one in chart.series for _, y in one.points]
    if not xs or min(xs) <= 0 or min(ys) <= 0:
        raise ValueError(f"{chart.title}: a chart needs points, all of them above 0")
    ticks = _linear_ticks(max(ys)) if chart.y_from_zero else _log_ticks(min(ys), max(ys))
    low, high = (ticks[0], ticks[-1]) if chart.y_from_zero else _widened(min(ys), max(ys))
    x_at = _Scale(xs[0], xs[-1], _LEFT, WIDTH - _RIGHT, log=True)
    y_at = _Scale(low, high, HEIGHT - _BOTTOM, _TOP, log=not chart.y_from_zero)
    parts = [
        f'<svg xmlns="{_NAMESPACE}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"',
        f'     width="{WIDTH}" height="{HEIGHT}">',
        f"<title>{escape(chart.title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{_LEFT}" y="20">{escape(chart.title)}</text>',
        *_axes(chart, xs, ticks, x_at, y_at),
    ]
    labels = []
    for number, one in enumerate(chart.series):
        if not one.points:
            continue
        points = [(x_at(x), y_at(y)) for x, y in sorted(one.points)]
        parts += _line(points, _COLOURS[number % len(_COLOURS)], first=number == 0)
        labels.append((points[-1], one.name))
    parts += _labels(labels)
    return "\n".join([*parts, "</svg>\n"])


def _axes(
    chart: Chart, xs: Sequence[float], ticks: Sequence[float], x_at: _Scale, y_at: _Scale
) -> Iterable[str]:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    for tick in ticks:
        y = y_at(tick)
        yield f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield (
            f'<text class="axis" text-anchor="end" x="{_LEFT - 8}" y="{y + 4:.1f}">'
            f"{number_text(tick)}</text>"
        )
    for x in xs:
        yield (
            f'<text class="axis" text-anchor="middle" x="{x_at(x):.1f}" y="{bottom + 18}">'
            f"{number_text(x)}</text>"
        )
    middle = (_LEFT + right) / 2
    yield (
        f'<text class="axis" text-anchor="middle" x="{middle:.0f}" y="{HEIGHT - 8}">'
        f"{escape(chart.x_title)}</text>"
    )
    yield f'<text class="axis" x="{_LEFT}" y="{_TOP - 8}">{escape(chart.y_title)}</text>'


def _line(points: Sequence[tuple[float, float]], colour: str, *, first: bool) -> Iterable[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    kind = "line first" if first else "line"
    yield f'<polyline class="{kind}" stroke="{colour}" points="{path}"/>'
    for x, y in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{4 if first else 3}" fill="{colour}"/>'


def _labels(ends: Sequence[tuple[tuple[float, float], str]]) -> Iterable[str]:
    """Names beside the last points, pushed apart where they would cover each other."""
    placed = -math.inf
    for (x, y), name in sorted(ends, key=lambda one: one[0][1]):
        placed = max(y + 4, placed + _LABEL_GAP)
        yield f'<text x="{x + 10:.1f}" y="{placed:.1f}">{escape(name)}</text>'


def _log_ticks(low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 100 else (1,)
    low, high = _widened(low, high)
    return [v for e in exponents for step in steps if low <= (v := step * 10.0**e) <= high]


def _widened(low: float, high: float) -> tuple[float, float]:
    return low / 1.25, high * 1.25


def _linear_ticks(high: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(high))
    step = next(step * part for part in (0.2, 0.5, 1, 2) if high / (step * part) <= 6)
    return [step * number for number in range(math.ceil(high / step) + 1)]


def number_text(value: float) -> str:
    """A number as an axis shows it: 0.5, 20, 1k, 2.5M."""
    for unit, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{suffix}"
    return f"{value:g}"
