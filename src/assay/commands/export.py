"""Write a study's results in the format of another tool."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.commands.studies import results_of
from assay.entry.study import Study
from assay.exports import FORMATS, export


def main(words: list[str] | None = None, name: str | None = None) -> None:
    """Export the study that the words name."""
    listed = "\n".join(f"  {kind:12} {what}" for kind, (_, what) in FORMATS.items())
    parser = argparse.ArgumentParser(
        prog=name,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"formats:\n{listed}",
    )
    parser.add_argument("study", help="its folder, name or config file")
    parser.add_argument("format", choices=list(FORMATS), help="one of those below")
    parser.add_argument("--out", type=Path, help="where to (default: STUDY-FORMAT in this folder)")
    arguments = parser.parse_args(words)
    results = results_of(arguments.study)
    ending, _ = FORMATS[arguments.format]
    out = arguments.out or Path(f"{results.resolve().name}-{arguments.format}").with_suffix(ending)
    export(Study(results), arguments.format, out)
    print(out)
