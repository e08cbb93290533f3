"""Make one split of a study's images: a stack."""

from assay.data.prepare import prepare_images
from assay.program import parse_spec, run, stage_parser
from assay.study.images import ImagesSpec


def main() -> None:
    arguments = stage_parser(__doc__).parse_args()
    prepare_images(parse_spec(ImagesSpec, arguments.spec), arguments.code, arguments.out)


if __name__ == "__main__":
    run(main)
