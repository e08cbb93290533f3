"""Import a diffusion that was published elsewhere."""

from pathlib import Path

from assay.diffusion.importing import import_diffusion
from assay.program import parse_spec, run, stage_parser
from assay.study.diffusions import PublishedDiffusionSpec


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--validation", type=Path, required=True, help="folder of the stack that it is judged by")
    arguments = parser.parse_args()
    spec = parse_spec(PublishedDiffusionSpec, arguments.spec)
    import_diffusion(spec, arguments.code, arguments.validation, arguments.out, arguments.threads)


if __name__ == "__main__":
    run(main)
