"""Fetch one file of a data set; an interrupted download goes on where it stood."""

import argparse
from pathlib import Path

from assay.data.download import fetch
from assay.program import parse_spec, run
from assay.study.images import FetchSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="the job's spec: JSON, as the workflow passes it")
    parser.add_argument("--mirrors", required=True, help="addresses of folders that have the file, with spaces between")
    parser.add_argument("--out", type=Path, required=True, help="folder that the file goes to")
    arguments = parser.parse_args()
    spec = parse_spec(FetchSpec, arguments.spec)
    fetch(arguments.out / spec.file, arguments.mirrors.split(), spec.checksum)


if __name__ == "__main__":
    run(main)
