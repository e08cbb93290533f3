"""Attack every image of a stack: adversarial examples against a victim."""

from pathlib import Path

from assay.attacks.attack import attack_stack
from assay.batches import parse_part
from assay.program import parse_spec, run, stage_parser
from assay.study.attacks import AttackSpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of the stack to attack")
    parser.add_argument("--classifier", type=Path, required=True, help="folder of the classifier")
    parser.add_argument("--diffusion", type=Path, help="folder of the diffusion, for a victim whose defence has one")
    parser.add_argument("--selected", type=Path, help="file of the study's selected sigma, for a defence that has it")
    parser.add_argument("--part", help="compute only this part of the batches, such as 3-of-10")
    arguments = parser.parse_args()
    attack_stack(
        parse_spec(AttackSpec, arguments.spec),
        arguments.code,
        arguments.images,
        arguments.classifier,
        arguments.diffusion,
        arguments.out,
        arguments.threads,
        parse_part(arguments.part) if arguments.part else None,
        arguments.selected,
    )


if __name__ == "__main__":
    run(main)
