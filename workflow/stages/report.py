"""From a study's folder to its report: results/<study>/report.html, one page that needs nothing else."""

from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.reporting.page import write_report
from assay.study.model import Study


def main() -> None:
    arguments = stage_parser(__doc__).parse_args()
    inputs = parse_inputs(arguments.inputs, arguments.keys)
    write_report(parse_spec(Study, arguments.spec), arguments.code, inputs, arguments.out)


if __name__ == "__main__":
    run(main)
