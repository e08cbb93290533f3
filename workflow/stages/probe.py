"""Probe an attack on a few images: its gradients, its convergence, and whether it finds what is known to be there."""

from assay.evaluation.probes.probe import probe_attack
from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.probing import ProbeSpec


def main() -> None:
    parser = stage_parser(__doc__)
    arguments = parser.parse_args()
    probe_attack(
        parse_spec(ProbeSpec, arguments.spec),
        arguments.code,
        parse_inputs(arguments.inputs, arguments.keys),
        arguments.out,
        arguments.threads,
    )


if __name__ == "__main__":
    run(main)
