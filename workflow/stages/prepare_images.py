"""Make one split of a study's images: a stack."""

from pathlib import Path

from assay.data.prepare import prepare_images
from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.images import ImagesSpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--folder", type=Path, help="folder of the data set's files, if it has files")
    arguments = parser.parse_args()
    inputs = parse_inputs(arguments.inputs, arguments.keys)
    spec = parse_spec(ImagesSpec, arguments.spec)
    prepare_images(spec, arguments.code, inputs, arguments.out, arguments.folder)


if __name__ == "__main__":
    run(main)
