"""Train a classifier."""

from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.classifiers import ClassifierSpec
from assay.training.classifier import train_classifier
from assay.training.ranks import add_options, run_on_ranks


def main() -> None:
    parser = stage_parser(__doc__)
    add_options(parser)
    arguments = parser.parse_args()
    spec = parse_spec(ClassifierSpec, arguments.spec)
    run_on_ranks(arguments.ranks, arguments.nodes, spec.classifier)
    inputs = parse_inputs(arguments.inputs, arguments.keys)
    train_classifier(spec, arguments.code, inputs, arguments.out, arguments.threads)


if __name__ == "__main__":
    run(main)
