"""Import a classifier that was published elsewhere."""

from assay.inputs import parse_inputs
from assay.networks.importing import import_classifier
from assay.program import parse_spec, run, stage_parser
from assay.study.classifiers import PublishedClassifierSpec


def main() -> None:
    parser = stage_parser(__doc__)
    arguments = parser.parse_args()
    import_classifier(
        parse_spec(PublishedClassifierSpec, arguments.spec),
        arguments.code,
        parse_inputs(arguments.inputs, arguments.keys),
        arguments.out,
        arguments.threads,
    )


if __name__ == "__main__":
    run(main)
