"""The grid: a heat map of the strongest attacks on each classifier, and one for each of its attacks."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from assay.reporting.charts.heat import heat
from assay.reporting.marks import cell_of
from assay.reporting.read import pick
from assay.reporting.trust import Checked
from assay.reporting.words import defence_name, eps_label

KEY = ["classifier", "attack", "norm", "threat"]


def heat_maps(summary: pd.DataFrame, worth: pd.DataFrame, checked: Checked) -> list[tuple[str, Markup]]:
    """For each classifier a title and a map of the strongest attacks on it, `worth`, then those of each attack: a row a
    defence, a column an eps, clean images first."""
    clean, attacked = (summary[(summary["attack"] == "none") == is_clean] for is_clean in (True, False))
    found = [
        _heat_map(f"{classifier}, strongest attack on each image ({norm})", classifier, cells, clean, checked)
        for (classifier, norm), cells in worth.groupby(["classifier", "norm"], sort=False)
    ]
    for (classifier, attack, norm, threat), cells in attacked.groupby(KEY, sort=False):
        found.append(_heat_map(f"{classifier}, {attack} ({norm}, {threat})", classifier, cells, clean, checked))
    if attacked.empty:
        found += [
            _heat_map(f"{classifier}, clean images", classifier, cells, clean, checked)
            for classifier, cells in clean.groupby("classifier", sort=False)
        ]
    return found


def _heat_map(
    title: str, classifier: str, cells: pd.DataFrame, clean: pd.DataFrame, checked: Checked
) -> tuple[str, Markup]:
    defences = cells[["defence", "sigma"]].drop_duplicates().itertuples(index=False, name=None)
    rows = [*pick(clean, classifier=classifier).itertuples(), *cells[cells["eps"] > 0].itertuples()]
    known = {(row.defence, row.sigma, row.eps): cell_of(row, checked) for row in rows}
    epses = sorted({0.0, *cells["eps"]})
    columns = [eps_label(eps) if eps else "clean" for eps in epses]
    lines = [(defence_name(*defence), [known.get((*defence, eps)) for eps in epses]) for defence in defences]
    return title, heat(title, "eps", columns, lines)
