"""Index a data set's files: where each image stands, and which may be drawn."""

from pathlib import Path

from assay.data.index import index_images
from assay.program import parse_spec, run, stage_parser
from assay.study.images import IndexSpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="folder of the data set's files")
    arguments = parser.parse_args()
    index_images(parse_spec(IndexSpec, arguments.spec), arguments.code, arguments.folder, arguments.out)


if __name__ == "__main__":
    run(main)
