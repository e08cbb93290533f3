"""Attack every image of a stack: adversarial examples against a victim."""

from assay.attacks.attack import attack_stack
from assay.batches import parse_part
from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.attacks import AttackSpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--part", help="compute only this part of the batches, such as 3-of-10")
    arguments = parser.parse_args()
    attack_stack(
        parse_spec(AttackSpec, arguments.spec),
        arguments.code,
        parse_inputs(arguments.inputs, arguments.keys),
        arguments.out,
        arguments.threads,
        parse_part(arguments.part) if arguments.part else None,
    )


if __name__ == "__main__":
    run(main)
