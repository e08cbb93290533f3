"""Count the votes of a smoothed classifier: how many draws of its noise each class gets, image by image."""

from assay.batches import parse_part
from assay.evaluation.certificates.certify import certify_stack
from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.certificates import CertifySpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--part", help="count only this part of the batches, such as 3-of-10")
    arguments = parser.parse_args()
    certify_stack(
        parse_spec(CertifySpec, arguments.spec),
        arguments.code,
        parse_inputs(arguments.inputs, arguments.keys),
        arguments.out,
        arguments.threads,
        parse_part(arguments.part) if arguments.part else None,
    )


if __name__ == "__main__":
    run(main)
