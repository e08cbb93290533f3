"""Import a classifier that was published elsewhere."""

from pathlib import Path

from assay.networks.importing import import_classifier
from assay.program import parse_spec, run, stage_parser
from assay.study.classifiers import PublishedClassifierSpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--validation", type=Path, required=True, help="folder of the stack that it is judged by")
    arguments = parser.parse_args()
    spec = parse_spec(PublishedClassifierSpec, arguments.spec)
    import_classifier(spec, arguments.code, arguments.validation, arguments.out, arguments.threads)


if __name__ == "__main__":
    run(main)
