"""Look at a stack: its images beside their clean ones with amplified differences, and a histogram of the changes."""

from __future__ import annotations

import argparse
from pathlib import Path

from assay.reporting.inspection import choose, describe, view
from assay.reporting.sheet import write_png, write_tiff


def main(words: list[str] | None = None, name: str | None = None) -> None:
    """Describe the stack that the words name, and write a picture of it."""
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    parser.add_argument("stack", type=Path, help="folder below results/<study>/images, adversarial or purified")
    parser.add_argument("--fooled", action="store_true", help="only images that are right when clean and wrong here")
    parser.add_argument("--ids", type=lambda text: text.split(","), metavar="A,B,C", help="only these images")
    parser.add_argument("--label", metavar="CLASS", help="only images of the class of this name")
    parser.add_argument("--count", type=int, default=12, help="how many images to show at most (default: 12)")
    parser.add_argument("--draw", type=int, default=0, help="which draw of a purified stack (default: 0)")
    parser.add_argument("--classifier", help="whose scores, for clean images in a study of several classifiers")
    parser.add_argument("--png", type=Path, help="the contact sheet (default: in results/<study>/view/)")
    parser.add_argument("--tiff", type=Path, help="write an ImageJ TIFF instead (t: images, z: columns)")
    arguments = parser.parse_args(words)
    if arguments.count < 1:
        parser.error("--count must be at least 1")

    stack = view(arguments.stack, arguments.draw, arguments.classifier)
    passing = choose(stack, arguments.ids, arguments.label, arguments.fooled)
    shown = passing[: arguments.count]
    print(describe(stack, passing))
    if arguments.tiff:
        write_tiff(stack, shown, arguments.tiff)
        print(f"{len(shown)} images: {arguments.tiff}")
    if arguments.png or not arguments.tiff:
        png = arguments.png or stack.place.picture
        write_png(stack, shown, passing, png)
        print(f"{len(shown)} images: {png}")
