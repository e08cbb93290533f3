"""The report: everything that a study found, on one page that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from assay.files import write_text
from assay.reporting import words
from assay.reporting.answer import CLEAN, answers
from assay.reporting.curves import curves
from assay.reporting.grid import heat_maps, lines
from assay.reporting.headline import headline
from assay.reporting.panels import picture_panels
from assay.reporting.paper.section import paper_section
from assay.reporting.read import read_artifacts, read_benchmarks, read_summary
from assay.reporting.stages import drawing, graph, makers, times
from assay.reporting.style import SCRIPT, STYLE
from assay.reporting.template import TEMPLATE
from assay.reporting.training import trainings

PARTS = [
    ("answer", "Answer"),
    ("grid", "Grid"),
    ("curves", "Curves"),
    ("images", "Images"),
    ("paper", "The paper"),
    ("training", "Training"),
    ("making", "How it was made"),
]


def write_report(results: Path, config: dict[str, Any], out: Path, versions: dict[str, str]) -> None:
    """Write the report of the study in the folder `results` to `out`: one HTML file, the same for the same input.

    `config` is the study as a dict (`Study.model_dump()`); `versions` are those of the libraries that run this.
    """
    write_text(out, _render(Path(results), config, versions))


def _render(results: Path, config: dict[str, Any], versions: dict[str, str]) -> str:
    summary = read_summary(results / "summary.csv")
    artifacts = read_artifacts(results)
    found = answers(summary, config)
    drawn, curve_notes = curves(summary, config)
    shown = [picture_panels(results, summary, answer, config) for answer in found]
    made = graph(artifacts)
    measured, table = lines(summary)
    environment = _environment()
    template = environment.from_string(TEMPLATE.lstrip())
    return template.render(
        study=config.get("study", results.name),
        scale=_scale(summary),
        parts=PARTS,
        style=Markup(STYLE),
        script=Markup(SCRIPT),
        answers=[(answer, headline(summary, answer, config)) for answer in found],
        heat_maps=heat_maps(summary),
        measured=measured,
        lines=table,
        curves=drawn,
        curve_notes=curve_notes,
        pictures=[panel for panels, _ in shown for panel in panels],
        picture_notes=list(dict.fromkeys(note for _, note in shown if note)),
        paper=paper_section(results, summary, found, config, environment),
        trainings=trainings(results, artifacts),
        graphs=[drawing(made, upright) for upright in (False, True)] if artifacts else [],
        unknown=made.unknown,
        times=times(read_benchmarks(results / "benchmarks")),
        config=yaml.safe_dump(words.readable_config(config), sort_keys=False, allow_unicode=True),
        makers=makers(artifacts),
        versions=versions,
        glossary=words.GLOSSARY,
        threats={threat: said for threat, said in words.THREATS.items() if threat in set(summary["threat"])},
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.globals |= {
        "percent": words.percent,
        "bracket": words.bracket,
        "eps_label": words.eps_label,
        "defence_label": words.defence_label,
        "number": words.number,
        "measure_label": _measure_label,
        "pct": lambda share: f"{100 * share:.2f}%",
    }
    return environment


def _measure_label(what: str) -> str:
    return "clean images" if what == CLEAN else f"{what}: {words.threat_clause(what)}"


def _scale(summary: pd.DataFrame) -> str:
    """How large the study is, in a few words."""
    attacks = summary.loc[summary["attack"] != "none", "attack"].nunique()
    defences = len(summary.loc[summary["defence"] != "none", ["defence", "sigma"]].drop_duplicates())
    parts = [
        words.count(summary["classifier"].nunique(), "classifier"),
        words.count(attacks, "attack"),
        words.count(defences, "defence"),
        f"{words.count(len(summary), 'cell')} on {words.count(int(summary['images'].max()), 'test image')}",
    ]
    return ", ".join(parts) + "."
