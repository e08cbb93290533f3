"""Train a diffusion."""

from pathlib import Path

from assay.program import parse_spec, run, stage_parser
from assay.study.diffusions import DiffusionSpec
from assay.training.diffusion import train_diffusion
from assay.training.ranks import run_on_ranks


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--train", type=Path, required=True, help="folder of the stack to train on")
    parser.add_argument("--validation", type=Path, required=True, help="folder of the stack for validation losses")
    parser.add_argument("--ranks", type=int, help="processes to train on; all GPUs of the machine if absent")
    arguments = parser.parse_args()
    spec = parse_spec(DiffusionSpec, arguments.spec)
    run_on_ranks(arguments.ranks, spec.diffusion.batch_size)
    train_diffusion(spec, arguments.code, arguments.train, arguments.validation, arguments.out, arguments.threads)


if __name__ == "__main__":
    run(main)
