"""From all that a study measured to its checks: results/<study>/checks.csv, one row a check and what it is about."""

from assay.evaluation.checks.run import make_checks
from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.model import Study


def main() -> None:
    arguments = stage_parser(__doc__).parse_args()
    inputs = parse_inputs(arguments.inputs, arguments.keys)
    make_checks(parse_spec(Study, arguments.spec), arguments.code, inputs, arguments.out)


if __name__ == "__main__":
    run(main)
