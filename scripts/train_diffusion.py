"""Train a diffusion."""

from pathlib import Path

from assay.diffusion.train import train_diffusion
from assay.program import parse_spec, run, stage_parser
from assay.study.diffusions import DiffusionSpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--train", type=Path, required=True, help="folder of the stack to train on")
    parser.add_argument("--validation", type=Path, required=True, help="folder of the stack for validation losses")
    arguments = parser.parse_args()
    spec = parse_spec(DiffusionSpec, arguments.spec)
    train_diffusion(spec, arguments.code, arguments.train, arguments.validation, arguments.out, arguments.threads)


if __name__ == "__main__":
    run(main)
