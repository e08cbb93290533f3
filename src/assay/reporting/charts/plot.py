"""Lines and steps over two axes: accuracy against eps, sigma, iterations or radius; losses against training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from assay.reporting.charts.drawing import draw

WIDTH, HEIGHT = 340, 236  # of the drawing, in units of about one pixel
LEFT, RIGHT, TOP, BOTTOM = 42, 10, 8, 40
CHARACTER = 6.2  # width of a letter of a tick
MOST_STOPS = 24  # marks of a dense line that can be reached by pointer and keyboard


@dataclass(frozen=True)
class Point:
    """One number: where it is, its interval if it has one, and `label`, all that is to be said of it.

    A number that a check failed is `doubted`, and drawn hollow and grey.
    """

    x: float
    y: float
    label: str
    low: float | None = None
    high: float | None = None
    doubted: bool = False


@dataclass(frozen=True)
class Line:
    """Points in the order of x, joined; `style` chooses mark and dashes.

    A `faint` line is a reference without marks. A `dense` line's marks appear only where one looks. A `step` line keeps
    a value until the next point.
    """

    points: Sequence[Point]
    colour: str = "c1"
    style: int = 0
    faint: bool = False
    dense: bool = False
    step: bool = False

    @property
    def marked(self) -> Sequence[Point]:
        """The points that have a mark."""
        if self.faint:
            return []
        return self.points[:: max(1, math.ceil(len(self.points) / MOST_STOPS))] if self.dense else self.points


@dataclass(frozen=True)
class Axis:
    """A range with its ticks (value, text). Values of a `log` axis are above zero."""

    label: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a value, from 0 to 1 along the axis."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return (value - low) / (high - low)


@dataclass(frozen=True)
class Rule:
    """A reference across the figure at x or at y, with what is to be said of it."""

    label: str
    x: float | None = None
    y: float | None = None
    colour: str = "soft"


def shares(label: str = "accuracy (%)") -> Axis:
    """The axis of shares, in percent."""
    return Axis(label, -0.03, 1.03, [(share / 100, f"{share}") for share in (0, 25, 50, 75, 100)])


def values(label: str, found: Sequence[tuple[float, str]], log: bool = False) -> Axis:
    """An axis over the values that were measured, each with its text; texts that would run into others are left out."""
    found = sorted(dict(found).items())
    low, high = found[0][0], found[-1][0]
    if log:
        margin = (high / low) ** 0.04 if high > low else 1.5
        axis = Axis(label, low / margin, high * margin, found, log)
    else:
        margin = 0.03 * (high - low) or 0.5
        axis = Axis(label, low - margin, high + margin, found)
    kept = found[-1:]
    for value, text in found[:-1][::-1]:
        room = (axis.at(kept[0][0]) - axis.at(value)) * (WIDTH - LEFT - RIGHT)
        if room > CHARACTER * (len(text) + len(kept[0][1])) / 2 + 8:
            kept = [(value, text), *kept]
    return Axis(label, axis.low, axis.high, kept, log)


def numbers(label: str, found: Sequence[float], log: bool = False) -> Axis:
    """An axis over numbers, with round ticks; if `log`, on a log scale where they span more than a factor of ten."""
    found = [value for value in found if math.isfinite(value)]
    low, high = min(found, default=0.0), max(found, default=1.0)
    if log and low > 0 and high > 10 * low:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        axis = Axis(label, low / 1.1, high * 1.1, [(t, f"{t:g}") for t in ticks if low / 1.1 <= t <= high * 1.1], True)
        spread = 3 if len(axis.ticks) > 7 else 1
        return Axis(label, axis.low, axis.high, axis.ticks[::spread], True)
    margin = 0.04 * (high - low) or 0.04 * abs(high) or 0.5
    rough = (high - low + 2 * margin) / 4
    step = min((s * 10.0 ** math.floor(math.log10(rough)) for s in (1, 2, 5, 10)), key=lambda s: abs(s - rough))
    first = math.ceil((low - margin) / step)
    ticks = [step * index for index in range(first, math.floor((high + margin) / step) + 1)]
    return Axis(label, low - margin, high + margin, [(tick, f"{tick:.6g}") for tick in ticks])


def plot(title: str, lines: Sequence[Line], x: Axis, y: Axis, rules: Sequence[Rule] = ()) -> Markup:
    """The lines as one small figure, read at the width of a phone."""
    across = lambda value: round(LEFT + x.at(value) * (WIDTH - LEFT - RIGHT), 1)  # noqa: E731
    upward = lambda value: round(HEIGHT - BOTTOM - y.at(value) * (HEIGHT - TOP - BOTTOM), 1)  # noqa: E731
    frame = {"left": LEFT, "right": WIDTH - RIGHT, "top": TOP, "bottom": HEIGHT - BOTTOM}
    paths = [_path([(across(p.x), upward(p.y)) for p in line.points], line.step) for line in lines]
    return draw(
        "plot.svg.j2",
        title=title, lines=list(zip(lines, paths, strict=True)), x=x, y=y, rules=rules,
        across=across, upward=upward, width=WIDTH, height=HEIGHT, **frame,
    )  # fmt: skip


def _path(places: Sequence[tuple[float, float]], step: bool) -> str:
    """The way through some places: straight, or level until the next and then up or down."""
    parts = [f"{'L' if index else 'M'}{x:g} {y:g}" for index, (x, y) in enumerate(places)]
    if step:
        parts = [f"H{x:g}V{y:g}" if index else f"M{x:g} {y:g}" for index, (x, y) in enumerate(places)]
    return "".join(parts)
