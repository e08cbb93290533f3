"""Compare two studies, or two runs of one: which cells are new, gone or changed, and by how much."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.commands.studies import results_of
from assay.files import atomic
from assay.reporting.comparison import compare, other_makers, read_side, render


def main(words: list[str] | None = None, name: str | None = None) -> None:
    """Print how the two studies differ that the words name."""
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    parser.add_argument("a", metavar="A", help="a study: its folder, name or config file, or a summary.csv")
    parser.add_argument("b", metavar="B", help="the other one")
    parser.add_argument("--csv", type=Path, help="write the table as CSV too")
    arguments = parser.parse_args(words)
    a, b = (read_side(_place(word)) for word in (arguments.a, arguments.b))
    table = compare(a, b)
    for line in other_makers(a, b):
        print(line)
    if arguments.csv:
        with atomic(arguments.csv) as temporary:
            table.to_csv(temporary, index=False, float_format="%.10g", lineterminator="\n")
    if table.empty:
        print(f"no cell differs ({len(a.cells)} compared)")
        return
    print(render(table))
    shared = sum(key in b.cells for key in a.cells)
    print(
        f"{(table['state'] == 'changed').sum()} of {shared} shared cells changed, "
        f"{(table['state'] == 'only in A').sum()} only in A, {(table['state'] == 'only in B').sum()} only in B. "
        "B-A is in percentage points with its 95% interval; of many cells that do not differ, one in twenty excludes "
        "zero by chance."
    )
    if (table["interval"] == "unpaired").any():
        print("unpaired: the scores of both on the same images were not found, so the interval is wider.")


def _place(word: str) -> Path:
    """A table of cells as it is named, or a study's folder."""
    return Path(word) if Path(word).suffix == ".csv" else results_of(word)
