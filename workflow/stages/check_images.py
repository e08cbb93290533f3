"""Refuse a study in which an image plays two roles; write how many images play each."""

import argparse
from pathlib import Path

from assay.data.check import check_images
from assay.program import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of the study's splits")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    arguments = parser.parse_args()
    check_images(arguments.images, arguments.out)


if __name__ == "__main__":
    run(main)
