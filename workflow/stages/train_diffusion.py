"""Train a diffusion."""

from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.diffusions import DiffusionSpec
from assay.training.diffusion import train_diffusion
from assay.training.ranks import add_options, run_on_ranks


def main() -> None:
    parser = stage_parser(__doc__)
    add_options(parser)
    arguments = parser.parse_args()
    spec = parse_spec(DiffusionSpec, arguments.spec)
    run_on_ranks(arguments.ranks, arguments.nodes, spec.diffusion)
    inputs = parse_inputs(arguments.inputs, arguments.keys)
    train_diffusion(spec, arguments.code, inputs, arguments.out, arguments.threads)


if __name__ == "__main__":
    run(main)
