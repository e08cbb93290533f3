"""Classify every image of a stack: logits per image and draw."""

from assay.evaluation.classify import classify_stack
from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.evaluation import ClassifySpec


def main() -> None:
    parser = stage_parser(__doc__)
    arguments = parser.parse_args()
    classify_stack(
        parse_spec(ClassifySpec, arguments.spec),
        arguments.code,
        parse_inputs(arguments.inputs, arguments.keys),
        arguments.out,
        arguments.threads,
    )


if __name__ == "__main__":
    run(main)
