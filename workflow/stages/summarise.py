"""From the scores of all cells to the study's summary, one row a cell; beside it, who beats whom and the worst case."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.evaluation.comparisons import compare_cells
from assay.evaluation.scores import read_slides
from assay.evaluation.summary import judge, summarise, write_table
from assay.evaluation.worst_case import worst_cases
from assay.planning.specs import Specs
from assay.program import parse_spec, run
from assay.study.model import Study
from assay.study.selection import read_sigma


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", type=Path, required=True, help="the study's folder of scores")
    parser.add_argument("--images", type=Path, required=True, help="folder of the test stack, which may name slides")
    parser.add_argument("--spec", required=True, help="the study: JSON, as the workflow passes it")
    parser.add_argument("--selected", type=Path, help="file of the study's selected sigma")
    parser.add_argument("--out", type=Path, required=True, help="the summary's CSV file; two more appear beside it")
    arguments = parser.parse_args()
    study = parse_spec(Study, arguments.spec)
    selected = read_sigma(arguments.selected) if arguments.selected else None
    cells = judge(Specs(study).rows(), arguments.scores, selected, read_slides(arguments.images))
    tables = {
        arguments.out: summarise(study.study, cells),
        arguments.out.with_name("comparisons.csv"): compare_cells(study.study, cells, study.seed),
        arguments.out.with_name("worst_case.csv"): worst_cases(study.study, cells),
    }
    for path, table in tables.items():
        write_table(table, path)


if __name__ == "__main__":
    run(main)
