"""Import a diffusion that was published elsewhere."""

from assay.diffusion.importing import import_diffusion
from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.diffusions import PublishedDiffusionSpec


def main() -> None:
    parser = stage_parser(__doc__)
    arguments = parser.parse_args()
    import_diffusion(
        parse_spec(PublishedDiffusionSpec, arguments.spec),
        arguments.code,
        parse_inputs(arguments.inputs, arguments.keys),
        arguments.out,
        arguments.threads,
    )


if __name__ == "__main__":
    run(main)
