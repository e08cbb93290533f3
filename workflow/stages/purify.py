"""Purify every image of a stack, once a draw."""

from assay.batches import parse_part
from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.purifiers.purify import purify_stack
from assay.study.purifiers import PurifySpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--part", help="compute only this part of the batches, such as 3-of-10")
    arguments = parser.parse_args()
    purify_stack(
        parse_spec(PurifySpec, arguments.spec),
        arguments.code,
        parse_inputs(arguments.inputs, arguments.keys),
        arguments.out,
        arguments.threads,
        parse_part(arguments.part) if arguments.part else None,
    )


if __name__ == "__main__":
    run(main)
