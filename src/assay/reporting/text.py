"""What a study found as text, for a terminal: the strongest attacks, the grid, which defences differ, and accuracy by
class."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from assay.evaluation.bounds import BOUND
from assay.evaluation.certificates.tables import ALL, ONE_CLASS
from assay.reporting.certificates import shown_radii
from assay.reporting.read import pick
from assay.reporting.strongest import ranked
from assay.reporting.words import TOO_FEW, bounded, bracket, defence_label, eps_label, number
from assay.words import count

LEGEND = "≤: an upper bound; no attack followed gradients through the defence at that eps."


def text_strongest(strongest: pd.DataFrame, summary: pd.DataFrame) -> str:
    """What the strongest attack on each image leaves: a block for each classifier and norm, as in the grid.

    `strongest` as `as_rows` returns it. Defences are in the order of what they keep at the largest eps, upper bounds
    below the others.
    """
    clean = summary[summary["attack"] == "none"]
    blocks = [
        _attacked(f"{classifier}, strongest attack on each image ({norm})", _by_largest_eps(cells), clean)
        for (classifier, norm), cells in strongest.groupby(["classifier", "norm"], sort=False)
    ]
    return "\n\n".join([*blocks, LEGEND] if strongest["upper_bound"].any() else blocks)


def text_grid(summary: pd.DataFrame) -> str:
    """Accuracy in percent with its interval: a block for each classifier and attack, a row a defence, a column an eps.

    Each block has the clean accuracy of its defences as its first column.
    """
    blocks = []
    clean = summary[summary["attack"] == "none"]
    attacked = summary[summary["attack"] != "none"]
    for (classifier, attack, threat), cells in attacked.groupby(["classifier", "attack", "threat"], sort=False):
        blocks.append(_attacked(f"{classifier}, {attack} ({threat})", cells, clean))
    return "\n\n".join(blocks)


def text_classes(per_class: pd.DataFrame) -> str:
    """Accuracy by class: a block for each classifier, attack and eps, a column a class."""
    blocks = []
    for (classifier, attack, eps), cells in per_class.groupby(["classifier", "attack", "eps"], sort=False):
        under = "clean images" if attack == "none" else f"{attack} at eps {eps_label(eps)}"
        blocks.append(_block(f"{classifier}, {under}", cells, cells["name"].tolist(), list(cells["name"].unique())))
    return "\n\n".join(blocks)


def text_differences(comparisons: pd.DataFrame) -> str:
    """A line for each attack and eps: how many pairs of defences differ significantly, how many of these only by an
    upper bound, which is no sign of being better, and what the others hide."""
    lines = []
    for (classifier, attack, eps), pairs in comparisons.groupby(["classifier", "attack", "eps"], sort=False):
        under = "clean images" if attack == "none" else f"{attack} at eps {eps_label(eps)}"
        differ = f"{(pairs['winner'] != 'none').sum()} of {count(len(pairs), 'pair')} differ significantly"
        bounds = (pairs["claim"] == BOUND).sum()
        only = f", {bounds} of them only by an upper bound" if bounds else ""
        lines.append(f"{classifier}, {under}: {differ}{only}{_unseen(pairs)}")
    return "\n".join(lines)


def text_certificates(curves: pd.DataFrame, tested: pd.DataFrame) -> str:
    """Certified accuracy in percent with its interval: a block for each classifier, a row a defence, a column a radius;
    then a line for each defence that was tested sequentially."""
    whole = pick(curves, bound=ONE_CLASS, curve="sigma", **{"class": ALL}).assign(upper_bound=False)
    blocks = []
    for classifier, cells in whole.groupby("classifier", sort=False):
        own = pick(tested, classifier=classifier)
        radii = shown_radii(cells["radius"].unique(), None if own.empty else own["radius"].iloc[0])
        cells = cells[cells["radius"].isin(radii)]
        columns = [f"{radius:.3g}" for radius in cells["radius"]]
        title = f"{classifier}, certified accuracy by radius (L2)"
        blocks.append(_block(title, cells, columns, [f"{radius:.3g}" for radius in radii]))
        lines = [
            f"{classifier}, {defence_label(row.defence, row.sigma)}: the sequential test certifies "
            f"{number(row.sequential)} at radius {row.radius:.3g} with {row.sequential_draws:.0f} draws per image, "
            f"{row.fixed_draws} fixed draws {number(row.fixed)}"
            for row in own.itertuples()
        ]
        blocks += ["\n".join(lines)] if lines else []
    return "\n\n".join(blocks)


def _unseen(pairs: pd.DataFrame) -> str:
    """What the pairs that do not differ significantly could have shown."""
    undecided = pairs.loc[pairs["winner"] == "none"]
    if undecided.empty:
        return ""
    if undecided["detectable"].isna().any():
        return f"; {TOO_FEW} to see any difference" if undecided["p_holm"].isna().any() else ""
    least, most = (f"{100 * found:.1f}" for found in (undecided["detectable"].min(), undecided["detectable"].max()))
    return (
        f"; the rest could have seen {least} points"
        if least == most
        else f"; the rest could have seen {least} to {most} points"
    )


def _by_largest_eps(cells: pd.DataFrame) -> pd.DataFrame:
    return ranked(cells).sort_values("eps", ascending=False, kind="stable")


def _attacked(title: str, cells: pd.DataFrame, clean: pd.DataFrame) -> str:
    """Cells of one classifier under attack by eps, beside the clean accuracy of their defences."""
    defences = cells[["defence", "sigma"]].drop_duplicates()
    controls = defences.merge(clean[clean["classifier"] == cells["classifier"].iloc[0]], on=["defence", "sigma"])
    eps = [eps_label(value) for value in sorted(cells["eps"].unique())]
    cells = pd.concat([controls, cells])
    columns = ["clean" if row.attack == "none" else eps_label(row.eps) for row in cells.itertuples()]
    return _block(title, cells, columns, ["clean", *eps])


def _block(title: str, cells: pd.DataFrame, columns: list[str], order: list[str]) -> str:
    """A table of accuracies: a row a defence, in the order of the cells, and the columns of these names in `order`."""
    table = pd.DataFrame(
        {
            "defence": [defence_label(row.defence, row.sigma) for row in cells.itertuples()],
            "column": columns,
            "text": [_value(row) for row in cells.itertuples()],
        }
    )
    grid = table.pivot(index="defence", columns="column", values="text")
    grid = grid.reindex(index=table["defence"].unique(), columns=order).fillna("–")
    grid.index.name = grid.columns.name = None
    return f"{title}\n{grid.to_string()}"


def _value(row: Any) -> str:
    """An accuracy and its interval, marked where it is an upper bound; a dash where nothing was measured."""
    if math.isnan(row.accuracy):
        return number(row.accuracy)
    return bounded(f"{number(row.accuracy)} {bracket(row.ci_low, row.ci_high)}", row)
