"""Refuse a study in which an image plays two roles; write how many images play each."""

from assay.data.check import check_images
from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.images import RolesSpec


def main() -> None:
    arguments = stage_parser(__doc__).parse_args()
    inputs = parse_inputs(arguments.inputs, arguments.keys)
    check_images(parse_spec(RolesSpec, arguments.spec), arguments.code, inputs, arguments.out)


if __name__ == "__main__":
    run(main)
