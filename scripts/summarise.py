"""From the scores of all cells to the study's summary: results/<study>/summary.csv, one row a cell."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.evaluation.summary import summarise, write_summary
from assay.program import parse_spec, run
from assay.study.model import Study
from assay.study.selection import read_sigma
from assay.study.specs import Specs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, required=True, help="the study's folder of scores")
    parser.add_argument("--spec", required=True, help="the study: JSON, as the workflow passes it")
    parser.add_argument("--selected", type=Path, help="file of the study's selected sigma")
    parser.add_argument("--out", type=Path, required=True, help="the CSV file to write")
    arguments = parser.parse_args()
    study = parse_spec(Study, arguments.spec)
    selected = read_sigma(arguments.selected) if arguments.selected else None
    write_summary(summarise(study.study, Specs(study).rows(), arguments.scores, selected), arguments.out)


if __name__ == "__main__":
    run(main)
