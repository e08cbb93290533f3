"""Choose the study's sigma from the scores of a sweep: results/<study>/selection/sigma.json and sweep.csv."""

from assay.evaluation.choice import choose_sigma
from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.selection import ChooseSpec


def main() -> None:
    arguments = stage_parser(__doc__).parse_args()
    inputs = parse_inputs(arguments.inputs, arguments.keys)
    choose_sigma(parse_spec(ChooseSpec, arguments.spec), arguments.code, inputs, arguments.out)


if __name__ == "__main__":
    run(main)
