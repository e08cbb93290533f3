"""From all that a study measured to its checks: results/<study>/checks.csv, one row a check and what it is about."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.evaluation.checks.evidence import read_evidence
from assay.evaluation.checks.run import run_checks
from assay.evaluation.summary import write_table
from assay.inputs import SELECTED, parse_inputs
from assay.program import parse_spec, run
from assay.study.model import Study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="the study's folder")
    parser.add_argument("--spec", required=True, help="the study: JSON, as the workflow passes it")
    parser.add_argument("--inputs", default="{}", help="the selection, where sigma is selected")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file to write")
    arguments = parser.parse_args()
    inputs = parse_inputs(arguments.inputs)
    selected = inputs.sigma() if SELECTED in inputs else None
    study = parse_spec(Study, arguments.spec)
    write_table(run_checks(read_evidence(study, arguments.results, selected)), arguments.out)


if __name__ == "__main__":
    run(main)
