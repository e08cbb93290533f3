"""Classify every image of a stack: logits per image and draw."""

from pathlib import Path

from assay.evaluation.classify import classify_stack
from assay.program import parse_spec, run, stage_parser
from assay.study.evaluation import ClassifySpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of the stack to classify")
    parser.add_argument("--classifier", type=Path, required=True, help="folder of the classifier")
    arguments = parser.parse_args()
    spec = parse_spec(ClassifySpec, arguments.spec)
    classify_stack(spec, arguments.code, arguments.images, arguments.classifier, arguments.out, arguments.threads)


if __name__ == "__main__":
    run(main)
