"""Small figures as inline SVG: text stays text, colours are the page's own, so that both themes can be read."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import matplotlib as mpl
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from assay.reporting.words import eps_label

RAMP = 6  # colours of the page's ordered palette, --s0 … --s5

# matplotlib wants colours; the page wants names. Each name has a stand-in that no figure uses otherwise.
_INK = "#0a0b0c"
_STANDINS = {f"s{index}": f"#0a0b1{index}" for index in range(RAMP)} | {
    "ink": _INK,
    "soft": "#0a0b31",
    "c1": "#0a0b21",
    "c2": "#0a0b22",
    "c3": "#0a0b23",
}

SIZE = (3.5, 2.5)  # inches
CURVE_COLOURS = {"train": "c1", "validation": "c2", "validation under PGD": "c3"}

# A threat's line and mark, in the curves and in their legend.
THREAT_STYLES = {
    "transfer": ("-", "o"),
    "adaptive": ((0, (3, 2)), "D"),
    "bpda": ((0, (3, 2, 1, 2)), "s"),
    "surrogate": ((0, (1, 1.5)), "^"),
    "locked": ((0, (5, 1.5)), "v"),
    "blackbox": ((0, (5, 1.5, 1, 1.5)), "P"),
}
_OTHER_STYLE = ((0, (2, 3)), "X")

_STYLE = {
    "svg.fonttype": "none",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 8,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
}


@dataclass(frozen=True)
class Line:
    """Accuracies with their intervals, along x. A `reference` is drawn faintly, without marks.

    Points that a check failed are `doubted`, and drawn hollow and grey.
    """

    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    colour: str
    threat: str = "transfer"
    shift: float = 0.0
    reference: bool = False
    doubted: Sequence[bool] | None = None  # none if None


@dataclass(frozen=True)
class Level:
    """A horizontal reference."""

    y: float
    colour: str


@dataclass(frozen=True)
class Panel:
    """One small figure of accuracy, with its title."""

    title: str
    lines: list[Line]
    levels: list[Level] = field(default_factory=list)


def ramp(position: int, of: int) -> str:
    """The colour of one of `of` ordered things, spread over the ordered palette."""
    return f"s{round(position * (RAMP - 1) / max(of - 1, 1))}"


def accuracy_against_eps(panel: Panel, key: str) -> Markup:
    """Accuracy (%) against eps, pixel units; fractions of 255 on the ticks where eps is one."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": key}):
        axes = _accuracy_axes(panel)
        ticks = _spaced(sorted({x for line in panel.lines for x in line.x}), share=0.13)
        axes.set_xticks(ticks, [eps_label(tick) if tick else "0" for tick in ticks])
        axes.set_xlabel("eps (pixel units)")
        return _svg(axes.figure, f"{panel.title}: accuracy against eps", key)


def accuracy_against_sigma(panel: Panel, key: str) -> Markup:
    """Accuracy (%) against the purifier's sigma, pixel units."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": key}):
        axes = _accuracy_axes(panel)
        ticks = _spaced(sorted({x for line in panel.lines for x in line.x}), share=0.11)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xlabel("sigma (pixel units)")
        return _svg(axes.figure, f"{panel.title}: accuracy against sigma", key)


@dataclass(frozen=True)
class Bar:
    """One bar of a pair: an accuracy with its interval, and what somebody else found for the same.

    A bar that a check failed is `doubted`, and drawn hatched and grey.
    """

    accuracy: float
    low: float
    high: float
    published: float
    doubted: bool = False


def accuracy_bars(groups: Sequence[tuple[str, Bar, Bar]], label: str, key: str) -> Markup:
    """Pairs of bars, clean and attacked, by group; hollow diamonds are the published values."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": key}):
        axes = _axes(Figure(figsize=(6.4, 2.8), layout="constrained"))
        for side, colour in enumerate(("c1", "c2")):
            bars = [group[1 + side] for group in groups]
            x = np.arange(len(groups)) + (side - 0.5) * 0.36
            heights = 100 * np.array([bar.accuracy for bar in bars])
            for at, height, bar in zip(x, heights, bars, strict=True):
                shown = {"color": _STANDINS[colour], "alpha": 0.75}
                if bar.doubted:
                    shown = {"facecolor": "none", "edgecolor": _STANDINS["soft"], "hatch": "////", "linewidth": 0.8}
                axes.bar(at, height, width=0.34, **shown)
            reach = 100 * np.array(
                [[bar.accuracy - bar.low for bar in bars], [bar.high - bar.accuracy for bar in bars]]
            )
            axes.errorbar(x, heights, yerr=np.maximum(reach, 0), fmt="none", ecolor=_INK, elinewidth=0.9, capsize=2)
            published = [100 * bar.published for bar in bars]
            axes.plot(x, published, "D", markerfacecolor="none", markeredgecolor=_INK, markersize=4, linestyle="none")
        axes.set_xticks(range(len(groups)), [name for name, _, _ in groups])
        axes.set_ylim(0, 103)
        axes.set_ylabel("accuracy (%)")
        return _svg(axes.figure, label, key, style="plot wide")


def accuracy_against_noise(
    lines: Sequence[Line], chosen: float, step_of: Callable[[np.ndarray], np.ndarray], ticks: Sequence[int],
    label: str, key: str
) -> Markup:  # fmt: skip
    """Accuracy (%) against sigma on a log axis, the chosen sigma marked; `ticks` of a time step stand above."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": key}):
        axes = _axes(Figure(figsize=(6.4, 3.2), layout="constrained"))
        for line in lines:
            _draw(axes, line)
        axes.axvline(chosen, color=_INK, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.set_xscale("log")
        sigmas = sorted({x for line in lines for x in line.x})
        shown = [sigmas[0]]
        shown += [sigma for sigma in sigmas[1:] if sigma / shown[-1] > 1.25 or sigma == sigmas[-1]]
        axes.set_xticks(shown, [f"{sigma:.3g}" for sigma in shown], rotation=45, ha="right", rotation_mode="anchor")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("sigma (pixel units)")
        axes.set_ylim(-3, 103)
        axes.set_ylabel("accuracy (%)")
        above = axes.twiny()
        above.set_xscale("log")
        above.set_xlim(axes.get_xlim())
        at = [(float(sigma), step) for sigma, step in zip(step_of(np.array(ticks)), ticks, strict=True)]
        at = [(sigma, step) for sigma, step in at if axes.get_xlim()[0] <= sigma <= axes.get_xlim()[1]]
        above.set_xticks([sigma for sigma, _ in at], [str(step) for _, step in at])
        above.xaxis.set_minor_locator(NullLocator())
        above.spines["top"].set_visible(True)
        above.set_xlabel("the paper's time step t (images in [0,1])")
        return _svg(axes.figure, label, key, style="plot wide")


def training_curve(
    title: str, curves: dict[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str, key: str
) -> Markup:
    """Named curves (x, y) of a network's training; losses that fall tenfold are drawn on a log axis."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": key}):
        axes = _axes(Figure(figsize=SIZE, layout="constrained"))
        for name, (at, values) in curves.items():
            mark = "o" if len(values) <= 20 else ""
            axes.plot(at, values, color=_STANDINS[CURVE_COLOURS[name]], marker=mark, markersize=3, linewidth=1.2)
        every = np.concatenate([np.asarray(values, float) for _, values in curves.values()])
        every = every[np.isfinite(every)]
        if every.size and every.min() > 0 and every.max() > 10 * every.min():
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        return _svg(axes.figure, title, key)


def threat_key(threat: str, key: str) -> Markup:
    """A threat's line and mark, for a legend."""
    dashes, mark = THREAT_STYLES.get(threat, _OTHER_STYLE)
    with mpl.rc_context(_STYLE | {"svg.hashsalt": key}):
        figure = Figure(figsize=(0.42, 0.16))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, 2)
        axes.plot([0, 1, 2], [0, 0, 0], color=_INK, linestyle=dashes, marker=mark, markevery=[1])
        return _svg(figure, threat, key, style="key")


def _axes(figure: Figure) -> Axes:
    axes = figure.add_subplot()
    axes.grid(axis="y", color=_INK, alpha=0.12, linewidth=0.6)
    axes.set_axisbelow(True)
    return axes


def _accuracy_axes(panel: Panel) -> Axes:
    figure = Figure(figsize=SIZE)
    figure.subplots_adjust(left=0.15, right=0.98, bottom=0.18, top=0.98)
    axes = _axes(figure)
    for level in panel.levels:
        axes.axhline(100 * level.y, color=_STANDINS[level.colour], linewidth=0.9, linestyle=(0, (1, 2)))
    for line in panel.lines:
        _draw(axes, line)
    axes.set_ylim(-3, 103)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_ylabel("accuracy (%)")
    return axes


def _draw(axes: Axes, line: Line) -> None:
    x = np.asarray(line.x) + line.shift
    y, low, high = (100 * np.asarray(values, float) for values in (line.y, line.low, line.high))
    if line.reference:
        axes.plot(x, y, color=_INK, alpha=0.45, linewidth=1.1)
        return
    dashes, mark = THREAT_STYLES.get(line.threat, _OTHER_STYLE)
    axes.plot(x, y, color=_STANDINS[line.colour], linestyle=dashes)
    reach = np.maximum([y - low, high - y], 0)
    doubted = np.zeros(len(x), bool) if line.doubted is None else np.asarray(line.doubted, bool)
    for some, colour, face in ((~doubted, line.colour, _STANDINS[line.colour]), (doubted, "soft", "none")):
        if some.any():
            axes.errorbar(
                x[some],
                y[some],
                yerr=reach[:, some],
                color=_STANDINS[colour],
                markerfacecolor=face,
                linestyle="none",
                marker=mark,
                elinewidth=0.9,
            )


def _spaced(ticks: list[float], share: float) -> list[float]:
    """Of ordered ticks, those whose labels do not run into the one before or the last."""
    if not ticks:
        return []
    room = share * (ticks[-1] - ticks[0])
    kept = [ticks[0]]
    for tick in ticks[1:-1]:
        if tick - kept[-1] >= room and ticks[-1] - tick >= room:
            kept.append(tick)
    return kept + ticks[len(ticks) - 1 :] if len(ticks) > 1 else kept


def _svg(figure: Figure, label: str, key: str, style: str = "plot") -> Markup:
    """The figure as an element of the page: no size, no style sheet, no metadata, names unique to `key`."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    box = re.search(r'viewBox="([^"]*)"', text).group(1)
    body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>|<metadata.*?</metadata>|<!--.*?-->", "", body, flags=re.S)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda match: match.group(0) if match.group(1) in used else "", body)
    body = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{key}-", body)
    body = re.sub(r"font-family: [^;\"]*;? ?|(font: [^;\"]*px) [^;\"]*", r"\1", body)
    body = body.replace(_INK, "currentColor")
    for name, standin in _STANDINS.items():
        body = body.replace(standin, f"var(--{name})")
    body = re.sub(r"\s*\n\s*", "\n", body)
    return Markup(f'<svg class="{style}" viewBox="{box}" role="img" aria-label="{escape(label)}">{body}</svg>')
