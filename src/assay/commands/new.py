"""Write the config of a study on images of your own. What no option says is asked on a terminal, and has a default
elsewhere. The config is commented, and plans as it stands."""

from __future__ import annotations

import argparse
import re
import sys
from fractions import Fraction
from pathlib import Path

import jinja2

from assay.commands.image_folder import ImageFolder, look
from assay.files import AssayError, write_text
from assay.planning.bring import plan_study
from assay.planning.configs import read_strictly
from assay.planning.jobs import Jobs
from assay.planning.outside import check_outside
from assay.study.images import Split
from assay.words import count

TEMPLATE = Path(__file__).parent / "templates" / "config.yaml.j2"
SMALLEST_SIDE, LARGEST_SIDE, SIDE_STEP = 32, 224, 16
CHANNELS = (64, 128, 128, 256)  # of the U-Net's levels, each of half the size
MOST_IMAGES = 256  # of the test images and of the validation images
SHARE = 4  # at most a quarter of a class's images are tested on, where they are trained on too
BATCH = 64
MODULE, EPS = ".py", "8/255"


def main(words: list[str] | None = None, name: str | None = None) -> None:
    """Write the config that the words, and answers to questions, describe."""
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    parser.add_argument("study", nargs="?", help="name of the study (default: that of the folder of images)")
    parser.add_argument("--images", type=Path, help="a folder, .zip or .tar with one folder of images per class")
    parser.add_argument("--classifier", help="a trained one: timm's folder or hf-hub:OWNER/NAME (default: train one)")
    parser.add_argument(
        "--diffusion", help="a trained one: diffusers' folder or hf-hub:OWNER/NAME (default: train one)"
    )
    parser.add_argument("--purifier", help="a defence of your own: a .py file with build(spec, inputs)")
    parser.add_argument("--eps", help=f"radius of the L-infinity ball, in pixel units (default: {EPS})")
    parser.add_argument("--size", type=int, help="side of an image in pixels (default: by the images)")
    parser.add_argument("--out", type=Path, help="the config file (default: config/STUDY.yaml)")
    arguments = parser.parse_args(words)
    if sys.stdin.isatty():
        ask(arguments)
    if arguments.images is None:
        raise AssayError("--images: missing; name a folder with one folder of images per class")
    found = look(arguments.images)
    arguments.study = arguments.study or name_from(arguments.images)
    out = arguments.out or Path("config") / f"{arguments.study}.yaml"
    if out.exists():
        raise AssayError(f"{out}: is there already; remove it, or name another with --out")
    text = config_text(arguments, found, out)
    write_checked(text, out)
    total = count(sum(found.images.values()), "image")
    print(f"{arguments.images}: {total} of {len(found.classes)} classes ({', '.join(found.classes[:8])})")
    print(f"{out} is written. Next:\n  assay plan {out}\n  assay run {out}")


def ask(arguments: argparse.Namespace) -> None:
    """Ask for what no option says."""
    questions = {
        "images": "Folder of images, with one folder per class",
        "study": "Name of the study [that of the folder]",
        "classifier": "Your trained classifier, timm's folder or hf-hub:OWNER/NAME [train one]",
        "purifier": "Your own defence, a .py file [none]",
        "diffusion": "Your trained diffusion, diffusers' folder or hf-hub:OWNER/NAME [train one]",
        "eps": f"Largest change of a pixel, of 1 [{EPS}]",
    }
    for key, question in questions.items():
        if getattr(arguments, key) is None and (answer := input(f"{question}: ").strip()):
            setattr(arguments, key, Path(answer) if key == "images" else answer)


def name_from(images: Path) -> str:
    """A study's name from that of its folder of images."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", images.resolve().stem).strip("-_") or "mine"


def config_text(arguments: argparse.Namespace, found: ImageFolder, out: Path) -> str:
    """The config as text."""
    size = arguments.size or min(LARGEST_SIDE, max(SMALLEST_SIDE, found.side // SIDE_STEP * SIDE_STEP))
    test, validation = (images_of(split, found) for split in ("test", "validation"))
    left = sum(found.images.values()) - test - validation
    levels = next(levels for levels in range(len(CHANNELS), 0, -1) if size % 2 ** (levels - 1) == 0)
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        name=arguments.study,
        path=out,
        folder=str(arguments.images),
        size=size,
        classes=found.classes,
        parts=found.parts,
        expected=sum(found.images.values()),
        validation=validation,
        classifier=arguments.classifier,
        diffusion=arguments.diffusion,
        purifier=arguments.purifier,
        channels=list(CHANNELS[:levels]),
        batch_size=max(1, min(BATCH, left // 4)),
        eps=eps_text(arguments.eps or EPS),
        test=test,
        test_batch=min(BATCH, test),
    )


def images_of(split: Split, found: ImageFolder) -> int:
    """How many images a split has: as many of each class, and some left of each to train on."""
    classes = len(found.classes)
    alone = found.parts and list(found.parts.values()).count(found.parts[split]) == 1
    each = found.fewest(split) if alone else found.fewest(split) // SHARE
    if not each:
        raise AssayError(f"a class has {found.fewest(split)} images; add some, until each class has at least {SHARE}")
    return classes * min(each, max(1, MOST_IMAGES // classes))


def eps_text(eps: str) -> str:
    """An eps as a config writes it."""
    try:
        valid = 0 < Fraction(eps) <= 1
    except (ValueError, ZeroDivisionError):
        valid = False
    if not valid:
        raise AssayError(f"--eps: '{eps}' is not a number between 0 and 1; write 8/255")
    return eps


def write_checked(text: str, out: Path) -> None:
    """Write a config, unless its study cannot be planned."""
    write_text(out, text)
    try:
        study = plan_study(read_strictly(out), str(out))
        check_outside(Jobs(study), str(out))
    except AssayError:
        out.unlink()
        raise
