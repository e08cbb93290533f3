"""Train a diffusion."""

from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.diffusions import DiffusionSpec
from assay.training.diffusion import train_diffusion
from assay.training.ranks import run_on_ranks


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--ranks", type=int, help="processes to train on; all GPUs of the machine if absent")
    arguments = parser.parse_args()
    spec = parse_spec(DiffusionSpec, arguments.spec)
    run_on_ranks(arguments.ranks, spec.diffusion.batch_size)
    inputs = parse_inputs(arguments.inputs)
    train_diffusion(spec, arguments.code, inputs, arguments.out, arguments.threads)


if __name__ == "__main__":
    run(main)
