"""The accuracies as LaTeX tables, for a paper: `\\input{demo.tex}` after `\\usepackage{booktabs}`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from assay.entry.study import Study
from assay.files import write_text
from assay.reporting.strongest import as_rows
from assay.reporting.words import bracket, defence_name, eps_label, number

ESCAPED = {"_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$"}
NOTHING = "--"


def write(study: Study, out: Path) -> None:
    """Write one table for each classifier."""
    write_text(out, "\n".join(table(study, name) for name in study.summary["classifier"].unique()))


def table(study: Study, classifier: str) -> str:
    """A row for each defence; columns for clean images, for each attack and eps, and for the strongest attack."""
    summary = study.summary[study.summary["classifier"] == classifier]
    worth = as_rows(study.strongest, study.summary)
    worth = worth[worth["classifier"] == classifier].assign(attack="strongest")
    cells = [*summary.itertuples(), *worth[worth["eps"] > 0].itertuples()]
    columns = list(dict.fromkeys((cell.attack, cell.eps) for cell in cells))
    known = {(cell.defence, cell.sigma, cell.attack, cell.eps): _value(cell) for cell in cells}
    defences = list(summary[["defence", "sigma"]].drop_duplicates().itertuples(index=False, name=None))
    lines = [
        [defence_name(*defence), *(known.get((*defence, *column), NOTHING) for column in columns)]
        for defence in defences
    ]
    titles = ["defence", *("clean" if attack == "none" else f"{attack}, {eps_label(eps)}" for attack, eps in columns)]
    name = _escape(classifier)
    caption = (
        f"Accuracy of {name} in percent with 95\\% intervals, {int(summary['images'].max())} images, by attack and "
        "eps. Strongest: each image under the strongest attack on it. $\\leq$: an upper bound, as the defence was not "
        "attacked directly."
    )
    rows = "\n".join(f"    {' & '.join(map(_escape, line))} \\\\" for line in lines)
    return f"""\\begin{{table}}
  \\centering
  \\caption{{{caption}}}
  \\label{{tab:{study.config.study}-{classifier}}}
  \\begin{{tabular}}{{l{"r" * len(columns)}}}
    \\toprule
    {" & ".join(map(_escape, titles))} \\\\
    \\midrule
{rows}
    \\bottomrule
  \\end{{tabular}}
\\end{{table}}
"""


def _value(cell: pd.Series) -> str:
    text = f"{number(cell.accuracy)} {bracket(cell.ci_low, cell.ci_high)}"
    return f"≤ {text}" if cell.upper_bound else text


def _escape(text: str) -> str:
    """A text as LaTeX prints it."""
    escaped = "".join(ESCAPED.get(letter, letter) for letter in text)
    return escaped.replace("≤", r"$\leq$").replace("–", NOTHING)
