"""What a study found, as frames and arrays: `assay.Study("results/demo")`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from assay.entry.figure import figure
from assay.evaluation.scores import Scores, read_scores
from assay.files import AssayError
from assay.manifests import MANIFEST, read_manifest
from assay.planning.cells import CLEAN
from assay.reporting import read
from assay.reporting.page import PAGE
from assay.reporting.strongest import with_bounds
from assay.reporting.terminal import checks_line, leads
from assay.stacks import Stack, read_stack
from assay.study.model import Study as Config

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEYS = ("classifier", "attack", "threat", "norm", "eps", "defence", "sigma")
TABLE = [*KEYS, "accuracy", "ci_low", "ci_high", "upper_bound"]


class Study:
    """The results of a study in a folder, `results/<study>`. Tables are pandas frames and are read once.

    A cell is named by what tells it from the others: `study.scores(attack="pgd", eps=8 / 255, defence="ddpm")`; the
    columns of `study.table` say what there is. `attack="none"` is clean images, `defence="none"` no defence.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / "summary.csv").is_file():
            raise AssayError(f"{self.folder}: has no summary.csv; name the folder of a finished study")

    @cached_property
    def config(self) -> Config:
        """The study's config, as models."""
        return Config.model_validate(read_manifest(self.folder / f"summary.{MANIFEST}")["spec"])

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per cell with all of its measures; results/README.md explains the columns."""
        return with_bounds(read.read_summary(self.folder / "summary.csv"), self.strongest)

    @cached_property
    def strongest(self) -> pd.DataFrame:
        """What the strongest attack on each image leaves, by classifier, ball and defence."""
        return read.read_strongest(self.folder / "strongest.csv")

    @cached_property
    def comparisons(self) -> pd.DataFrame:
        """Every two defences under the same attack: paired differences and tests."""
        return read.read_comparisons(self.folder / "comparisons.csv")

    @cached_property
    def per_class(self) -> pd.DataFrame:
        """Accuracy by cell and class."""
        return read.read_per_class(self.folder / "per_class.csv")

    @cached_property
    def checks(self) -> pd.DataFrame:
        """What the checks found, a row for each check and what it is about."""
        return read.read_checks(self.folder / "checks.csv")

    @property
    def table(self) -> pd.DataFrame:
        """Accuracy of each cell with its 95% interval, and whether it is an upper bound only."""
        return self.summary[TABLE]

    @property
    def answer(self) -> str:
        """The report's first sentence, of each classifier a line."""
        return "\n".join(leads(self.folder, self.checks))

    @property
    def report(self) -> Path:
        """The report, one HTML file."""
        return self.folder / PAGE

    def figure(self) -> Figure:
        """The accuracies of the table as a matplotlib figure."""
        return figure(self.table)

    def save_report(self, path: str | Path) -> None:
        """Copy the report."""
        shutil.copyfile(self.report, path)

    def cell(self, **keys: Any) -> pd.Series:
        """The one row of the summary with these values of KEYS."""
        if unknown := keys.keys() - set(KEYS):
            raise AssayError(f"{', '.join(sorted(unknown))}: is nothing that tells cells apart; use {', '.join(KEYS)}")
        found = self.summary
        for key, value in keys.items():
            found = found[np.isclose(found[key], value) if key in ("eps", "sigma") else found[key] == value]
        if len(found) != 1:
            differ = [key for key in KEYS if found[key].nunique() > 1]
            hint = f"give {', '.join(differ)} too" if differ else "see study.table"
            raise AssayError(f"{self.folder.name}: {len(found)} cells have {keys}; {hint}")
        return found.iloc[0]

    def scores(self, **keys: Any) -> Scores:
        """The scores of a cell: `ids`, `labels` and `logits` (images, draws, classes), and the classes' names."""
        return read_scores(self.folder / "scores" / self.cell(**keys)["scores"])

    def stack(self, **keys: Any) -> Stack:
        """The images that the classifier was shown in a cell: `images` (n, h, w, 3) and their `table`.

        Behind a defence they are purified, one image per draw.
        """
        attacked, purifier, sigma = self._places(**keys)
        if purifier == "none":
            return self._attacked(attacked)
        return read_stack(self.folder / "purified" / attacked / purifier / sigma)

    def adversarial(self, **keys: Any) -> Stack:
        """The images of a cell's attack as it made them, before any defence."""
        return self._attacked(self._places(**keys)[0])

    def stacks(self) -> Iterator[tuple[str, Stack]]:
        """Every adversarial stack once, with its place, such as `resnet/pgd/eps-8_255/undefended`."""
        for place in dict.fromkeys("/".join(Path(scores).parts[1:-2]) for scores in self.summary["scores"]):
            if place != CLEAN:
                yield place, self._attacked(place)

    @property
    def images(self) -> Stack:
        """The clean test images."""
        return read_stack(self.folder / "images" / "test")

    def _places(self, **keys: Any) -> tuple[str, str, str]:
        """Of a cell the place of its images under attack, and the folders of its purifier and sigma."""
        _, *attacked, purifier, sigma = Path(self.cell(**keys)["scores"]).parts
        return "/".join(attacked), purifier, sigma

    def _attacked(self, place: str) -> Stack:
        """The images under attack; the clean ones without an attack."""
        return self.images if place == CLEAN else read_stack(self.folder / "adversarial" / place)

    def __repr__(self) -> str:
        return "\n".join([f"Study {self.folder}", self.answer, checks_line(self.checks)])

    def _repr_html_(self) -> str:
        return f"<p>{self.answer}</p><p>{checks_line(self.checks)}</p>{self.table.to_html(index=False)}"
