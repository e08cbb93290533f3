"""From the scores of all cells to the study's tables: one row a cell; who beats whom; the worst case; by class."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.evaluation.classes import accuracy_by_class, confusion
from assay.evaluation.comparisons import compare_cells
from assay.evaluation.scores import read_slides
from assay.evaluation.summary import judge, summarise, write_table
from assay.evaluation.worst_case import worst_cases
from assay.inputs import SELECTED, parse_inputs
from assay.planning.cells import rows
from assay.program import parse_spec, run
from assay.study.model import Study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="the study: JSON, as the workflow passes it")
    parser.add_argument(
        "--inputs",
        required=True,
        help="JSON, folders by role: `scores` of all cells, the test `images`, and the study's selection if it has one",
    )
    parser.add_argument("--out", type=Path, required=True, help="the summary's CSV file; the others appear beside it")
    arguments = parser.parse_args()
    study, inputs = parse_spec(Study, arguments.spec), parse_inputs(arguments.inputs)
    selected = inputs.sigma() if SELECTED in inputs else None
    cells = judge(rows(study), inputs.folder("scores"), selected, read_slides(inputs.folder("images")))
    tables = {
        arguments.out: summarise(study.study, cells),
        arguments.out.with_name("comparisons.csv"): compare_cells(study.study, cells, study.seed),
        arguments.out.with_name("worst_case.csv"): worst_cases(study.study, cells),
        arguments.out.with_name("per_class.csv"): accuracy_by_class(study.study, cells),
        arguments.out.with_name("confusion.csv"): confusion(study.study, cells),
    }
    for path, table in tables.items():
        write_table(table, path)


if __name__ == "__main__":
    run(main)
