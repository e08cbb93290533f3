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
from assay.reporting.answer import CLEAN, Answer, answers
from assay.reporting.beats import beats
from assay.reporting.checks import families_of, totals
from assay.reporting.curves import curves
from assay.reporting.grid import heat_maps, lines
from assay.reporting.headline import Headline, headline
from assay.reporting.panels import picture_panels
from assay.reporting.paper.section import paper_section
from assay.reporting.read import (
    read_artifacts,
    read_benchmarks,
    read_checks,
    read_comparisons,
    read_known_slides,
    read_summary,
    read_worst_cases,
)
from assay.reporting.sections import BEATS, CHECKS, TRUST, WORST
from assay.reporting.stages import drawing, graph, makers, times
from assay.reporting.style import SCRIPT, STYLE
from assay.reporting.template import TEMPLATE
from assay.reporting.training import trainings
from assay.reporting.trust import MARKS, Checked, Judge
from assay.reporting.worst import worst

PARTS = [
    ("answer", "Answer"),
    ("grid", "Grid"),
    ("worst", "Worst case"),
    ("beats", "Who beats whom"),
    ("curves", "Curves"),
    ("images", "Images"),
    ("paper", "The paper"),
    ("checks", "Checks"),
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
    comparisons = read_comparisons(results / "comparisons.csv")
    worst_cases = read_worst_cases(results / "worst_case.csv")
    checks = read_checks(results / "checks.csv")
    checked = Checked(checks)
    judge = Judge(checked)
    artifacts = read_artifacts(results)
    found = answers(summary, config)
    headlines = [headline(summary, answer, config) for answer in found]
    speaks_of = [cell for first in headlines if first for cell in first.speaks_of]
    drawn, curve_notes = curves(summary, config, checked)
    shown = [picture_panels(results, summary, answer, config, checked) for answer in found]
    made = graph(artifacts)
    measured, table = lines(summary)
    environment = _environment(checked)

    def section(source: str, **content: Any) -> Markup:
        return Markup(environment.from_string(source.strip()).render(content))

    template = environment.from_string(TEMPLATE.lstrip())
    return template.render(
        study=config.get("study", results.name),
        scale=_scale(summary, results),
        parts=PARTS,
        style=Markup(STYLE),
        script=Markup(SCRIPT),
        answers=[(answer, first, _told(answer, first, judge)) for answer, first in zip(found, headlines, strict=True)],
        totals=totals(checks),
        heat_maps=heat_maps(summary),
        measured=measured,
        lines=table,
        curves=drawn,
        curve_notes=curve_notes,
        pictures=[panel for panels, _ in shown for panel in panels],
        picture_notes=list(dict.fromkeys(note for _, note in shown if note)),
        worst=section(WORST, **worst(worst_cases, summary, checked, speaks_of)),
        beats=section(BEATS, **beats(comparisons, summary, checked, speaks_of)),
        paper=paper_section(results, summary, found, config, judge, environment),
        checks=section(CHECKS, families=families_of(checks), totals=totals(checks)),
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


def _told(answer: Answer, first: Headline | None, judge: Judge) -> dict[str, Any]:
    """What the checks say of each sentence of an answer, in the order in which they are read."""
    return {
        "headline": judge(first.scores) if first else None,
        "sentences": [(sentence, judge(sentence.scores)) for sentence in answer.sentences],
        "caveats": [(caveat, judge(caveat.scores)) for caveat in answer.caveats],
    }


def _environment(checked: Checked) -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        loader=jinja2.DictLoader({"trust": TRUST.strip()}),
    )
    environment.globals |= {
        "checked": checked,
        "marks": MARKS,
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


def _scale(summary: pd.DataFrame, results: Path) -> str:
    """How large the study is, in a few words."""
    slides = read_known_slides(results)
    attacks = summary.loc[summary["attack"] != "none", "attack"].nunique()
    defences = len(summary.loc[summary["defence"] != "none", ["defence", "sigma"]].drop_duplicates())
    parts = [
        words.count(summary["classifier"].nunique(), "classifier"),
        words.count(attacks, "attack"),
        words.count(defences, "defence"),
        f"{words.count(len(summary), 'cell')} on {words.count(int(summary['images'].max()), 'test image')}",
    ]
    told = f" from {words.count(len(set(slides.values())), 'slide')}; intervals go by slide" if slides else ""
    return ", ".join(parts) + told + "."
