"""Choose the study's sigma from the scores of a sweep: results/<study>/selection/sigma.json and sweep.csv."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.evaluation.choice import choose_sigma
from assay.inputs import parse_inputs
from assay.program import parse_spec, run
from assay.study.selection import ChooseSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="the sweep: JSON, as the workflow passes it")
    parser.add_argument(
        "--inputs",
        required=True,
        help="JSON, folders by role: the sweep's `scores`, and the `images`, which may name slides",
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    arguments = parser.parse_args()
    choose_sigma(parse_spec(ChooseSpec, arguments.spec), parse_inputs(arguments.inputs), arguments.out)


if __name__ == "__main__":
    run(main)
