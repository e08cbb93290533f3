"""From a study's folder to its report: results/<study>/report.html, one page that needs nothing else."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.program import parse_spec, provenance, run
from assay.reporting.page import write_report
from assay.study.model import Study

LIBRARIES = ("jinja2", "numpy", "pandas")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="the study's folder")
    parser.add_argument("--spec", required=True, help="the study's config: JSON, as the workflow passes it")
    parser.add_argument("--out", type=Path, required=True, help="the HTML file to write")
    arguments = parser.parse_args()
    study = parse_spec(Study, arguments.spec)
    versions = provenance(LIBRARIES)["versions"]
    write_report(arguments.results, study, arguments.out, versions)


if __name__ == "__main__":
    run(main)
