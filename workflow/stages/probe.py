"""Probe an attack on a few images: its gradients, its convergence, and whether it finds what is known to be there."""

from pathlib import Path

from assay.evaluation.probes.probe import probe_attack
from assay.program import parse_spec, run, stage_parser
from assay.study.probing import ProbeSpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of the clean stack")
    parser.add_argument("--attacked", type=Path, required=True, help="folder of the stack that the attack made of it")
    parser.add_argument("--classifier", type=Path, required=True, help="folder of the classifier")
    parser.add_argument("--diffusion", type=Path, help="folder of the diffusion, for a victim whose defence has one")
    parser.add_argument("--selected", type=Path, help="file of the study's selected sigma, for a defence that has it")
    arguments = parser.parse_args()
    probe_attack(
        parse_spec(ProbeSpec, arguments.spec),
        arguments.code,
        arguments.images,
        arguments.attacked,
        arguments.classifier,
        arguments.diffusion,
        arguments.out,
        arguments.threads,
        arguments.selected,
    )


if __name__ == "__main__":
    run(main)
