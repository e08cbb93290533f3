"""The summarise stage: from the scores of all cells to the study's tables."""

from __future__ import annotations

from pathlib import Path

from assay.artifacts import Wanted
from assay.evaluation.black_box import black_box
from assay.evaluation.bounds import with_claims
from assay.evaluation.certificates import tables as certificates
from assay.evaluation.classes import accuracy_by_class, confusion
from assay.evaluation.comparisons import compare_cells
from assay.evaluation.resubmission import resubmission_risk
from assay.evaluation.scores import read_slides
from assay.evaluation.strongest import strongest_attacks
from assay.evaluation.summary import judge, summarise, write_table
from assay.evaluation.trainings import equivalences, spreads
from assay.evaluation.trajectories import trajectories
from assay.evaluation.untrained import measured, untrained
from assay.evaluation.worst_case import worst_cases
from assay.files import AssayError
from assay.inputs import SELECTED, Inputs
from assay.planning.cells import cells, followed_stacks, rows, smoothed
from assay.program import provenance
from assay.study.model import Study

LIBRARIES = ("numpy", "pandas", "scipy")


def make_tables(study: Study, code: str, inputs: Inputs, out: Path) -> None:
    """Write a study's tables: its cells, the strongest attacks, who beats whom, worst cases, resubmission, black box,
    classes, confusions, trainings of several seeds, trajectories, what was not measured, and certificates where it has
    any.

    Of the inputs, `scores` is the folder of all scores, `trajectories` that of the stacks whose attacks have one, and
    `images` the test images, which may name slides.
    """
    scores = inputs.folder("scores")
    inputs = inputs.each("scores", [cell.path for cell in cells(study)])
    certified = inputs.folder("certificates") if study.certificates else None
    if certified:
        inputs = inputs.each("certificates", [one.path for one in smoothed(study)])
    followed = followed_stacks(study)
    if followed:
        stacks = inputs.folder("trajectories")
        inputs = inputs.each("trajectories", [attacked.path for attacked in followed])
    wanted = Wanted(out, "tables", study.model_dump(mode="json"), code, inputs.manifests())
    if wanted.is_there():
        return
    selected = inputs.sigma() if SELECTED in inputs else None
    every = rows(study)
    slides = read_slides(inputs.folder("images"))
    judged = judge(measured(every, scores), scores, selected, slides)
    if not judged:
        raise AssayError(f"{scores}: no cell could be measured: {untrained(study.study, every, scores)['why'].iloc[0]}")
    strongest = strongest_attacks(study, judged, scores)
    tables = {
        "summary": summarise(study.study, judged),
        "strongest": strongest,
        "comparisons": with_claims(compare_cells(study.study, judged), strongest),
        "worst_case": worst_cases(study.study, judged),
        "resubmission": resubmission_risk(study, judged),
        "black_box": black_box(study.study, judged),
        "per_class": accuracy_by_class(study.study, judged),
        "confusion": confusion(study.study, judged),
        "trainings": spreads(study, judged),
        "equivalence": equivalences(study, judged),
        "trajectories": trajectories(study, {attacked: stacks / attacked.path for attacked in followed}, slides),
        "untrained": untrained(study.study, every, scores),
    }
    if certified:
        found = certificates.judge(study, certified, slides)
        tables |= {
            "certificates": certificates.certificates(study, found),
            "certified_accuracy": certificates.curves(study, found),
            "sequential": certificates.sequential(study, found),
        }
    with wanted.write(provenance(LIBRARIES)) as draft:
        for name, table in tables.items():
            write_table(table, draft.path(f"{name}.csv"))
