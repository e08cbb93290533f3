"""Compare two studies, or two runs of one: which cells are new, gone or changed, and by how much."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.files import atomic
from assay.program import run
from assay.reporting.comparison import compare, other_makers, read_side, render


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", type=Path, metavar="A", help="folder of a study, or a summary.csv")
    parser.add_argument("b", type=Path, metavar="B", help="folder of a study, or a summary.csv")
    parser.add_argument("--csv", type=Path, help="write the table as CSV too")
    arguments = parser.parse_args()
    a, b = read_side(arguments.a), read_side(arguments.b)
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


if __name__ == "__main__":
    run(main)
