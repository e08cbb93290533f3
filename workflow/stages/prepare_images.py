"""Make one split of a study's images: a stack."""

from pathlib import Path

from assay.data.prepare import prepare_images
from assay.program import parse_spec, run, stage_parser
from assay.study.images import ImagesSpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--index", type=Path, help="folder of the index, for a data set that has files")
    parser.add_argument("--folder", type=Path, help="folder of those files")
    arguments = parser.parse_args()
    if (arguments.index is None) != (arguments.folder is None):
        parser.error("--index and --folder go together")
    spec = parse_spec(ImagesSpec, arguments.spec)
    prepare_images(spec, arguments.code, arguments.out, arguments.index, arguments.folder)


if __name__ == "__main__":
    run(main)
