"""From the scores of all cells to the study's tables: one row a cell; who beats whom; the worst case; by class."""

from assay.evaluation.tables import make_tables
from assay.inputs import parse_inputs
from assay.program import parse_spec, run, stage_parser
from assay.study.model import Study


def main() -> None:
    arguments = stage_parser(__doc__).parse_args()
    inputs = parse_inputs(arguments.inputs, arguments.keys)
    make_tables(parse_spec(Study, arguments.spec), arguments.code, inputs, arguments.out)


if __name__ == "__main__":
    run(main)
