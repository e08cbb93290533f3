"""Attack some images of a smoothed classifier inside their certified radii, and beyond them."""

from assay.evaluation.certificates.attack import attack_certificates
from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.certificates import AttackCertificatesSpec


def main() -> None:
    arguments = stage_parser(__doc__).parse_args()
    attack_certificates(
        parse_spec(AttackCertificatesSpec, arguments.spec),
        arguments.code,
        parse_inputs(arguments.inputs, arguments.keys),
        arguments.out,
        arguments.threads,
    )


if __name__ == "__main__":
    run(main)
