"""The report's section about the paper of Ankile, Midgley and Weisshaar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from assay.evaluation.summary import read_whole
from assay.reporting.answer import Answer
from assay.reporting.paper import figures
from assay.reporting.paper.claims import boundary_shares, claims
from assay.reporting.paper.subjects import find_subjects
from assay.reporting.paper.template import TEMPLATE
from assay.reporting.trust import Judge

SWEEP = "selection/sweep.csv"


def paper_section(
    results: Path,
    summary: pd.DataFrame,
    answers: list[Answer],
    config: dict[str, Any],
    judge: Judge,
    environment: jinja2.Environment,
) -> Markup:
    """The paper's claims and figures, as far as the study has what they are about, and what the checks say of them."""
    subjects = find_subjects(summary, answers, config)
    sweep = read_whole(results / SWEEP, ("sigma", "chosen")) if config.get("selection") else None
    found: dict[str, Any] = {"subjects": subjects}
    if subjects:
        found |= {
            "claims": [(claim, judge(claim.scores)) for claim in claims(results, subjects, sweep)],
            "bars": figures.bars(subjects, judge.checked),
            "noise_levels": None if sweep is None else figures.noise_levels(sweep),
            "sweep_images": None if sweep is None else int(sweep["images"].max()),
            "stages": figures.stages(results, subjects),
            "boundary": boundary_shares(results, subjects),
        }
    return Markup(environment.from_string(TEMPLATE.strip()).render(found))
