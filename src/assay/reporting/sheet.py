"""Pictures of a `View`: a contact sheet as PNG, and an ImageJ TIFF for looking closer in Fiji."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from assay.files import atomic
from assay.reporting.inspection import CLEAN, LEVELS, View

DOTS = 100  # an inch; all sizes below are in dots
TILE, GAP, GUTTER = 120, 8, 44
HEAD, CAPTION, MARGIN = 60, 24, 24
HISTOGRAM, AXIS = 170, 60
TILES_ACROSS, GROUPS_ACROSS = 10, 6
SMALLEST_WIDTH = 760
RIGHT, WRONG = "#0072b2", "#d55e00"  # told apart by colour-blind eyes too
HUES = {"attacked": "#d55e00", "purified": "#0072b2"}


@dataclass(frozen=True)
class Column:
    """What stands in one column of the sheet: images (n, height, width, 3) uint8, and their verdicts if known."""

    caption: str
    images: np.ndarray
    right: np.ndarray | None = None


def columns(view: View, chosen: np.ndarray) -> list[Column]:
    """Clean images, and each stage after them with its amplified difference from the clean ones, centred on grey."""
    clean = view.stages[CLEAN].pixels(chosen)
    found = []
    for name, stage in view.stages.items():
        images = stage.pixels(chosen)
        found.append(Column(name, _to_bytes(images), None if stage.right is None else stage.right[chosen]))
        if name != CLEAN:
            change = images - clean
            factor = amplification(change)
            found.append(Column(f"{name} − clean\n× {factor}", _to_bytes(0.5 + factor * change)))
    return found


def amplification(change: np.ndarray) -> int:
    """The largest power of two, up to 128, that keeps all but the largest 1 % of changes within the grey scale."""
    size = np.quantile(np.abs(change), 0.99)
    return int(2 ** np.clip(np.floor(np.log2(0.5 / size)), 0, 7)) if size > 0 else 1


def write_png(view: View, chosen: np.ndarray, histogram_of: np.ndarray, path: Path) -> None:
    """Draw the chosen images as a contact sheet, above the histogram of changes of the images `histogram_of`."""
    shown = columns(view, chosen)
    across = max(1, min(len(chosen), TILES_ACROSS // len(shown), GROUPS_ACROSS))
    down = -(-len(chosen) // across)
    group = len(shown) * (TILE + GAP) - GAP
    width = max(SMALLEST_WIDTH, 2 * MARGIN + across * (group + GUTTER) - GUTTER)
    top = MARGIN + HEAD + 40
    grid = down * (TILE + CAPTION)
    height = top + grid + (HISTOGRAM + 2 * AXIS if view.changes else MARGIN)
    figure = Figure(figsize=(width / DOTS, height / DOTS), dpi=DOTS)
    place = _Placer(figure, width, height)
    place.text(MARGIN, MARGIN, f"{view.place.study.name}: {view.place.kind}/{view.place.path}", size=11, weight="bold")
    if any(column.right is not None for column in shown):
        place.text(MARGIN, MARGIN + 22, "framed where the verdict is known:", size=8, color="0.3")
        place.text(MARGIN + 205, MARGIN + 22, "classified right", size=8, color=RIGHT, weight="bold")
        place.text(MARGIN + 310, MARGIN + 22, "classified wrong", size=8, color=WRONG, weight="bold")
    for index, position in enumerate(chosen):
        left = MARGIN + index % across * (group + GUTTER)
        above = top + index // across * (TILE + CAPTION)
        place.text(left, above + 3, f"id {view.ids[position]}, label {view.labels[position]}", size=8)
        for number, column in enumerate(shown):
            x = left + number * (TILE + GAP)
            if index < across:
                place.text(x + TILE / 2, top - 8, column.caption, size=8, ha="center", va="bottom", color="0.3")
            right = None if column.right is None else bool(column.right[index])
            place.image(x, above + CAPTION - 6, column.images[index], right)
    if view.changes:
        _draw_histogram(
            place.axes(MARGIN + AXIS, top + grid + AXIS, width - 2 * MARGIN - AXIS, HISTOGRAM), view, histogram_of
        )
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": "assay"})


def write_tiff(view: View, chosen: np.ndarray, path: Path) -> None:
    """Write the chosen images as an ImageJ hyperstack: t runs over images, z over the columns of the sheet."""
    shown = columns(view, chosen)
    pages = np.stack([column.images for column in shown], axis=1)
    labels = [
        f"id {view.ids[position]}, label {view.labels[position]}: {' '.join(column.caption.split())}"
        for position in chosen
        for column in shown
    ]
    with atomic(path) as temporary:
        tifffile.imwrite(
            temporary,
            pages,
            imagej=True,
            photometric="rgb",
            metadata={"axes": "TZYXS", "Labels": [label.replace("−", "-").replace("×", "x") for label in labels]},
        )


class _Placer:
    """Puts things on a figure at dots counted from its top left corner."""

    def __init__(self, figure: Figure, width: float, height: float) -> None:
        self.figure, self.width, self.height = figure, width, height

    def text(self, x: float, y: float, text: str, **style: object) -> None:
        self.figure.text(x / self.width, 1 - y / self.height, text, **{"va": "top", **style})

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        box = (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(box)

    def image(self, x: float, y: float, image: np.ndarray, right: bool | None) -> None:
        axes = self.axes(x, y, TILE, TILE)
        axes.imshow(image, interpolation="nearest" if max(image.shape) < TILE else "antialiased")
        axes.set_axis_off()
        if right is not None:
            frame = Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, clip_on=False, linewidth=2.5)
            frame.set_edgecolor(RIGHT if right else WRONG)
            axes.add_patch(frame)


def _draw_histogram(axes: Axes, view: View, chosen: np.ndarray) -> None:
    levels = np.arange(-LEVELS, LEVELS + 1)
    furthest = 1
    for name in view.changes:
        counts = view.histogram(name, chosen)
        axes.step(levels, counts / counts.sum(), where="mid", color=HUES[name], label=f"{name} − clean")
        axes.fill_between(levels, counts / counts.sum(), step="mid", color=HUES[name], alpha=0.25, linewidth=0)
        furthest = max(furthest, np.abs(levels[counts > 0]).max())
    axes.set(xlim=(-1.1 * furthest - 1, 1.1 * furthest + 1), yscale="log")
    axes.set_xlabel("change from the clean image, grey levels (1/255)", fontsize=8)
    axes.set_ylabel("share of values", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    return np.rint(LEVELS * pixels.clip(0, 1)).astype(np.uint8)
