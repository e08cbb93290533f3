"""The grid: a heat map for each classifier and attack."""

from __future__ import annotations

from typing import Any

import pandas as pd
from markupsafe import Markup

from assay.reporting.charts.heat import heat
from assay.reporting.marks import cell_of
from assay.reporting.read import pick
from assay.reporting.trust import Checked
from assay.reporting.words import defence_name, eps_label

KEY = ["classifier", "attack", "norm", "threat"]


def heat_maps(summary: pd.DataFrame, checked: Checked) -> list[tuple[str, Markup]]:
    """For each classifier and attack a title and a map: a row a defence, a column an eps, clean images first."""
    attacked = summary[summary["attack"] != "none"]
    keys = (summary if attacked.empty else attacked)[KEY].drop_duplicates()
    return [_heat_map(summary, key, checked) for key in keys.itertuples()]


def _heat_map(summary: pd.DataFrame, key: Any, checked: Checked) -> tuple[str, Markup]:
    own = pick(summary, classifier=key.classifier)
    attacked = pick(own, attack=key.attack)
    defences = attacked[["defence", "sigma"]].drop_duplicates().itertuples(index=False, name=None)
    table = pd.concat([pick(own, attack="none"), attacked]).drop_duplicates(["eps", "defence", "sigma"])
    known = {(row.defence, row.sigma, row.eps): cell_of(row, checked) for row in table.itertuples()}
    epses = sorted({0.0, *attacked["eps"]})
    under = f"{key.attack} ({key.norm}, {key.threat})" if key.attack != "none" else "clean images"
    title = f"{key.classifier}, {under}"
    columns = [eps_label(eps) if eps else "clean" for eps in epses]
    lines = [(defence_name(*defence), [known.get((*defence, eps)) for eps in epses]) for defence in defences]
    return title, heat(title, "eps", columns, lines)
