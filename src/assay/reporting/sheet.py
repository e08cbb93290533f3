"""Pictures of a `View`: a contact sheet as PNG, and an ImageJ TIFF for looking closer in Fiji."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from assay.files import atomic
from assay.reporting.difference import amplified
from assay.reporting.inspection import CLEAN, LEVELS, View

TILE, HISTOGRAM, HEAD = 1.3, 2.6, 0.9  # inches
TILES_ACROSS, GROUPS_ACROSS, SMALLEST_WIDTH = 10, 6, 7.6
RIGHT, WRONG = "#0072b2", "#d55e00"  # told apart by colour-blind eyes too
HUES = {"attacked": "#d55e00", "purified": "#0072b2"}


@dataclass(frozen=True)
class Column:
    """One column of the sheet: images (n, height, width, 3) uint8, and their verdicts if known."""

    caption: str
    images: np.ndarray
    right: np.ndarray | None = None


def columns(view: View, chosen: np.ndarray) -> list[Column]:
    """Clean images, and each stage after them with its amplified difference from the clean ones."""
    clean = view.stages[CLEAN].pixels(chosen)
    found = []
    for name, stage in view.stages.items():
        images = stage.pixels(chosen)
        found.append(Column(name, _to_bytes(images), None if stage.right is None else stage.right[chosen]))
        if name != CLEAN:
            factor, change = amplified(images - clean)
            found.append(Column(f"{name} − clean\n× {factor}", _to_bytes(change)))
    return found


def write_png(view: View, chosen: np.ndarray, histogram_of: np.ndarray, path: Path) -> None:
    """Draw the chosen images as a contact sheet, above the histogram of changes of the images `histogram_of`."""
    shown = columns(view, chosen)
    across = max(1, min(len(chosen), TILES_ACROSS // len(shown), GROUPS_ACROSS))
    down = -(-len(chosen) // across)
    width = max(SMALLEST_WIDTH, across * len(shown) * TILE)
    tile = width / (across * len(shown))
    heights = [tile + 0.3] * down + ([HISTOGRAM] if view.changes else [])
    figure = Figure(figsize=(width, HEAD + sum(heights)), dpi=100, layout="constrained")
    grid = figure.add_gridspec(len(heights), across * len(shown), height_ratios=heights)
    title = f"{view.place.study.name}: {view.place.kind}/{view.place.path}"
    known = any(column.right is not None for column in shown)
    figure.suptitle(title + ("\nframed blue: classified right; orange: wrong" if known else ""), fontsize=9)
    for index, position in enumerate(chosen):
        for number, column in enumerate(shown):
            axes = figure.add_subplot(grid[index // across, index % across * len(shown) + number])
            caption = column.caption if index < across else ""
            if number == 0:
                caption = f"{caption}\n{view.ids[position]}: {view.classes[view.labels[position]]}"
            _draw(axes, column, index, caption.strip())
    if view.changes:
        _draw_histogram(figure.add_subplot(grid[down, :]), view, histogram_of)
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": "assay"})


def write_tiff(view: View, chosen: np.ndarray, path: Path) -> None:
    """Write the chosen images as an ImageJ hyperstack: t runs over images, z over the columns of the sheet."""
    shown = columns(view, chosen)
    labels = [
        f"{view.ids[position]}, {view.classes[view.labels[position]]}: {' '.join(column.caption.split())}"
        for position in chosen
        for column in shown
    ]
    with atomic(path) as temporary:
        tifffile.imwrite(
            temporary,
            np.stack([column.images for column in shown], axis=1),
            imagej=True,
            photometric="rgb",
            metadata={"axes": "TZYXS", "Labels": [label.replace("−", "-").replace("×", "x") for label in labels]},
        )


def _draw(axes: Axes, column: Column, index: int, caption: str) -> None:
    """One image, framed by its verdict."""
    image = column.images[index]
    axes.imshow(image, interpolation="nearest" if max(image.shape) < 100 * TILE else "antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(caption, fontsize=7, loc="left")
    known = column.right is not None
    axes.spines[:].set(visible=known, linewidth=2.5, color=RIGHT if known and column.right[index] else WRONG)


def _draw_histogram(axes: Axes, view: View, chosen: np.ndarray) -> None:
    levels = np.arange(-LEVELS, LEVELS + 1)
    furthest = 1
    for name in view.changes:
        counts = view.histogram(name, chosen)
        axes.step(levels, counts / counts.sum(), where="mid", color=HUES[name], label=f"{name} − clean")
        axes.fill_between(levels, counts / counts.sum(), step="mid", color=HUES[name], alpha=0.25, linewidth=0)
        furthest = max(furthest, np.abs(levels[counts > 0]).max())
    axes.set(xlim=(-1.1 * furthest - 1, 1.1 * furthest + 1), yscale="log", ylabel="share of values")
    axes.set_xlabel("change from the clean image, grey levels (1/255)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    return np.rint(LEVELS * pixels.clip(0, 1)).astype(np.uint8)
