"""The report: everything that a study found, on one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jinja2
import pandas as pd
import yaml
from markupsafe import Markup

from assay.artifacts import Wanted
from assay.evaluation.summary import read_whole
from assay.files import write_text
from assay.inputs import Inputs
from assay.manifests import check, manifest_path
from assay.planning.cells import sigma_token
from assay.program import provenance
from assay.reporting import read, words
from assay.reporting.answer import answer
from assay.reporting.beats import beats
from assay.reporting.certificates import certificates
from assay.reporting.checks import families_of, totals
from assay.reporting.choice import choices
from assay.reporting.classes import classes
from assay.reporting.curves import curves, noise_levels
from assay.reporting.grid import heat_maps
from assay.reporting.ladder import ladder, with_knowledge
from assay.reporting.origin import origin_text
from assay.reporting.papers import beside, read_papers
from assay.reporting.pictures import picture_panels
from assay.reporting.resubmission import resubmissions
from assay.reporting.stages import kinds, makers, times, unknown_inputs
from assay.reporting.strongest import as_rows, with_bounds
from assay.reporting.training import trainings
from assay.reporting.trajectories import by_steps
from assay.reporting.trust import MARKS, Checked, Judge
from assay.reporting.worst import worst
from assay.study.model import Study
from assay.words import count

LIBRARIES = ("jinja2", "numpy", "pandas")
PAGE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"
PARTS = {
    "answer": "Answer",
    "grid": "Grid",
    "classes": "Classes",
    "worst": "Worst case",
    "beats": "Who beats whom",
    "curves": "Curves",
    "certificates": "Certificates",
    "images": "Images",
    "papers": "Papers",
    "checks": "Checks",
    "training": "Training",
    "making": "How it was made",
}


def write_report(study: Study, code: str, inputs: Inputs, out: Path) -> None:
    """Write the report of a study to the artifact `out` in the study's folder: one HTML file, the same for the same
    input."""
    wanted = Wanted(out, "report", study.model_dump(mode="json"), code, inputs.manifests())
    if wanted.is_there():
        return
    for role in inputs.folders:
        check(inputs.folder(role), role)
    made_by = provenance(LIBRARIES)
    page = render(manifest_path(out).parent, study, made_by["versions"], wanted.seals)
    with wanted.write(made_by) as draft:
        write_text(draft.path(PAGE), page)


def render(results: Path, study: Study, versions: dict[str, str], made_from: Mapping[str, str]) -> str:
    """The report of the study in the folder `results`. `versions` are those of the libraries that run this, and
    `made_from` the seals of what it rests on, by kind."""
    summary = with_knowledge(read.read_summary(results / "summary.csv"), study)
    strongest = read.read_strongest(results / "strongest.csv")
    summary = with_bounds(summary, strongest)
    worth = as_rows(strongest, summary)
    checks = read.read_checks(results / "checks.csv")
    checked = Checked(checks)
    judge = Judge(checked)
    artifacts = read.read_artifacts(results)
    found = choices(summary, worth, study)
    speaks_of = list(dict.fromkeys(cell for choice in found for cell in choice.speaks_of))
    answers = [answer(choice, summary, worth, study, judge) for choice in found]
    per_class, confusion = (
        read.read_per_class(results / "per_class.csv"),
        read.read_confusion(results / "confusion.csv"),
    )
    by_class = [classes(per_class, confusion, choice, checked) for choice in found]
    drawn, curve_notes = curves(summary, study, checked)
    pictures = [picture_panels(results, choice, study, checked) for choice in found]
    sweep = read_whole(results / "selection/sweep.csv", ("sigma", "chosen")) if study.selection else None
    papers = [beside(paper, results, summary, found, study, checked, sweep) for paper in read_papers()]
    certified = certificates(results, study, checked)
    empty = {part for part, found in {"classes": any(by_class), "certificates": certified}.items() if not found}
    config = study.model_dump(mode="json")
    return _environment(checked).get_template("page.html.j2").render(
        study=study.study,
        made_from=origin_text(study.study, made_from),
        scale=_scale(summary, results),
        parts={part: name for part, name in PARTS.items() if part not in empty},
        answers=answers,
        totals=totals(checks),
        untrained=read.read_untrained(results / "untrained.csv"),
        heat_maps=heat_maps(summary, worth, checked),
        columns=[column for column in read.OPTIONAL if summary[column].notna().any()],
        cells=list(summary.itertuples()),
        by_class=[shown for shown in by_class if shown],
        worst=worst(read.read_worst_cases(results / "worst_case.csv"), summary, checked, speaks_of),
        seeds=read.read_seeds(results / "trainings.csv"),
        equivalence=read.read_equivalence(results / "equivalence.csv"),
        black_box=read.read_black_box(results / "black_box.csv"),
        beats=beats(read.read_comparisons(results / "comparisons.csv"), summary, checked, speaks_of),
        resubmissions=resubmissions(
            read.read_resubmission(results / "resubmission.csv"), summary, checked, speaks_of
        ),
        curves=drawn,
        curve_notes=curve_notes,
        certificates=certified,
        asked=study.certificates,
        by_steps=by_steps(read.read_trajectories(results / "trajectories.csv")),
        noise_levels=None if sweep is None else noise_levels(sweep),
        sweep=sweep,
        pictures=[panel for panels, _ in pictures for panel in panels],
        picture_notes=list(dict.fromkeys(note for _, note in pictures if note)),
        papers=[(paper, [(j, judge(j.scores)) for j in paper.judgements]) for paper in papers],
        families=families_of(checks),
        trainings=trainings(results, artifacts),
        kinds=kinds(artifacts),
        unknown=unknown_inputs(artifacts),
        times=times(read.read_benchmarks(results / "benchmarks")),
        config=yaml.safe_dump(words.readable_config(config), sort_keys=False, allow_unicode=True),
        makers=makers(artifacts),
        versions=versions,
        threats=[threat for threat in ladder(study) if threat.name in set(summary["threat"])],
    )  # fmt: skip


def _environment(checked: Checked) -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FileSystemLoader(TEMPLATES),
    )
    environment.globals |= {
        "checked": checked,
        "marks": MARKS,
        "number": words.number,
        "bracket": words.bracket,
        "percent": words.percent,
        "eps_label": words.eps_label,
        "defence_label": words.defence_label,
        "defence_name": words.defence_name,
        "sigma_token": sigma_token,
        "pct": lambda share: f"{100 * share:.2f}%",
        "text_of": lambda name: Markup((TEMPLATES / name).read_text(encoding="utf-8")),
    }
    return environment


def _scale(summary: pd.DataFrame, results: Path) -> str:
    """How large the study is, in a few words."""
    slides = read.read_known_slides(results)
    attacks = summary.loc[summary["attack"] != "none", "attack"].nunique()
    defences = len(summary.loc[summary["defence"] != "none", ["defence", "sigma"]].drop_duplicates())
    parts = [
        count(summary["classifier"].nunique(), "classifier"),
        count(attacks, "attack"),
        count(defences, "defence"),
        f"{count(len(summary), 'cell')} on {count(int(summary['images'].max()), 'test image')}",
    ]
    told = f" from {count(len(set(slides.values())), 'slide')}; intervals go by slide" if slides else ""
    return ", ".join(parts) + told + "."
