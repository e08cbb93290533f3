"""Purify every image of a stack, once a draw."""

from pathlib import Path

from assay.program import parse_spec, run, stage_parser
from assay.purifiers.purify import purify_stack
from assay.study.purifiers import PurifySpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of the stack to purify")
    parser.add_argument("--diffusion", type=Path, help="folder of the diffusion, for a purifier that has one")
    arguments = parser.parse_args()
    spec = parse_spec(PurifySpec, arguments.spec)
    purify_stack(spec, arguments.code, arguments.images, arguments.diffusion, arguments.out, arguments.threads)


if __name__ == "__main__":
    run(main)
