"""Purify every image of a stack, once a draw."""

from pathlib import Path

from assay.batches import parse_part
from assay.program import parse_spec, run, stage_parser
from assay.purifiers.purify import purify_stack
from assay.study.purifiers import PurifySpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of the stack to purify")
    parser.add_argument("--diffusion", type=Path, help="folder of the diffusion, for a purifier that has one")
    parser.add_argument("--selected", type=Path, help="file of the study's selected sigma, for a defence that has it")
    parser.add_argument("--part", help="compute only this part of the batches, such as 3-of-10")
    arguments = parser.parse_args()
    spec = parse_spec(PurifySpec, arguments.spec)
    part = parse_part(arguments.part) if arguments.part else None
    purify_stack(
        spec,
        arguments.code,
        arguments.images,
        arguments.diffusion,
        arguments.out,
        arguments.threads,
        part,
        arguments.selected,
    )


if __name__ == "__main__":
    run(main)
