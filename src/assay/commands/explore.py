"""Open a study's report in the browser; where there is none, its path is printed alone."""

from __future__ import annotations

import argparse
import webbrowser

from assay.commands.studies import DEMO, results_of
from assay.files import AssayError
from assay.reporting.page import PAGE


def main(words: list[str] | None = None, name: str | None = None) -> None:
    """Open the report of the study that the words name."""
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    parser.add_argument("study", nargs="?", default=DEMO, help="its folder, name or config file (default: the demo)")
    arguments = parser.parse_args(words)
    page = results_of(arguments.study) / PAGE
    if not page.is_file():
        raise AssayError(f"{page}: not found; run the study first: assay run {arguments.study}")
    print(page)
    webbrowser.open(page.resolve().as_uri())
