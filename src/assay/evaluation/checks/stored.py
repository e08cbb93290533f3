"""Checks of what is stored: adversarial stacks in whole numbers, and the scores of every cell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from assay.attacks.perturbation import boundary, perturbation
from assay.evaluation.checks.evidence import Evidence, manifest_of
from assay.evaluation.checks.finding import FAIL, NAN, PASS, Finding, at_least, at_most, does_not_apply, not_run
from assay.files import AssayError, read_json
from assay.manifests import read_manifest
from assay.planning.cells import Attacked
from assay.stacks import Stack
from assay.study.attacks import Attack, storage_bits

# An attack that gives the clean image back where it failed flatters every defence that is judged on its stack.
PERTURBED_WARN, PERTURBED_FAIL = 0.99, 0.5
# Of the budget eps an attack that reaches the wall uses all; 16-bit rounding costs less than a thousandth.
BUDGET_WARN, BUDGET_FAIL = 0.9, 0.5
# Signed steps end on the wall at most pixels; a quarter leaves room for those that turned back.
WALL_WARN, WALL_FAIL = 0.25, 0.02
# Copies count twice: one in twenty makes an interval 2 % too short.
DUPLICATES_WARN, DUPLICATES_FAIL = 0.0, 0.05
# By chance a row of logits looks like probabilities once in a while; all of them do not.
PROBABILITIES_WARN, PROBABILITIES_FAIL = 0.01, 0.5
MADE_BY = ("python", "torch")
ROLES = "images/roles/roles.json"
TESTED = "images/test"  # as a subject: every cell
TINY = 1e-9


def find(evidence: Evidence) -> Iterator[Finding]:
    """Every check of this family."""
    for attacked in evidence.attacked:
        subjects = [f"adversarial/{attacked.path}"]
        try:
            stack = evidence.stack(attacked)
        except AssayError as error:
            yield Finding("stack is whole", FAIL, subjects, NAN, NAN, f"The stack cannot be read: {error}.")
            continue
        attack = evidence.study.attacks[attacked.attack]
        count = attack.images or len(evidence.clean)
        same = same_images(stack, evidence.clean, count, subjects)
        clean = evidence.clean.of(stack.ids) if same.status == PASS else evidence.clean
        yield same
        yield provenance(evidence, stack, attacked, subjects)
        shape = storage(stack, clean, attack, attacked.eps, subjects)
        yield shape
        if shape.status == PASS:
            yield ball(stack, clean, attack, attacked.eps, subjects)
            yield from use_of_ball(stack, clean, attack, attacked.eps, subjects)
    for cell in evidence.measured:
        count = (cell.attack.images if cell.attack else None) or len(evidence.clean)
        yield logits(cell.probabilities, [cell.path])
        yield cell_images(cell.judged.ids, cell.judged.labels, evidence.clean, count, [cell.path])
    yield from roles(evidence)


def storage(stack: Stack, clean: Stack, attack: Attack, eps: float, subjects: list[str]) -> Finding:
    """Depth and size. Whole numbers are finite, and all of them stand for values in [0,1]."""
    bits = storage_bits(attack.ball, eps)
    right = stack.images.dtype == {8: np.uint8, 16: np.uint16}[bits] and stack.images.shape == clean.images.shape
    found = f"{stack.images.dtype} {'x'.join(map(str, stack.images.shape))}"
    meaning = f"Stored as {found}; expected are {bits} bit and the size of the clean images."
    return Finding(
        "range and format", PASS if right else FAIL, subjects, float(8 * stack.images.itemsize), bits, meaning
    )


def ball(stack: Stack, clean: Stack, attack: Attack, eps: float, subjects: list[str]) -> Finding:
    """No stored image lies outside the ball, in whole numbers of the storage grid."""
    bits = storage_bits(attack.ball, eps)
    top = 2**bits - 1
    delta = perturbation(stack.images, clean.images)
    if attack.ball == "Linf":
        furthest, reach, unit = int(np.abs(delta).max(initial=0)), int(np.floor(top * eps + 1e-6)), f"of {top} levels"
        inside = furthest <= reach
    else:
        furthest = float(np.sqrt((delta**2).sum(axis=(1, 2, 3)).max(initial=0)) / top)
        reach, unit = eps, "in L2"
        inside = furthest <= reach * (1 + TINY)
    meaning = f"The furthest stored image lies {furthest:g} {unit} from its clean one; the ball allows {reach:g}."
    return Finding("inside the ball", PASS if inside else FAIL, subjects, furthest, reach, meaning)


def use_of_ball(stack: Stack, clean: Stack, attack: Attack, eps: float, subjects: list[str]) -> Iterator[Finding]:
    """Whether the attack used what it was allowed: an unused budget is an attack that was not made."""
    if eps == 0:
        yield does_not_apply("images perturbed", subjects, "Eps is 0: there is nothing to perturb.")
        return
    top = np.iinfo(stack.images.dtype).max
    delta = perturbation(stack.images, clean.images)
    perturbed = float((delta != 0).any(axis=(1, 2, 3)).mean())
    yield Finding(
        "images perturbed",
        at_least(perturbed, PERTURBED_WARN, PERTURBED_FAIL),
        subjects,
        perturbed,
        PERTURBED_WARN,
        f"{perturbed:.1%} of the images differ from their clean ones; an image that does not was not attacked.",
    )
    lengths = np.abs(delta).max(axis=(1, 2, 3)) if attack.ball == "Linf" else np.sqrt((delta**2).sum(axis=(1, 2, 3)))
    used = float(lengths.mean() / top / eps)
    yield Finding(
        "budget used",
        at_least(used, BUDGET_WARN, BUDGET_FAIL),
        subjects,
        used,
        BUDGET_WARN,
        f"In the mean the perturbations are {used:.0%} of eps long; what is not used was not tried.",
    )
    if attack.ball == "Linf":
        wall = float(boundary(stack.images, clean.images, eps).mean())
        yield Finding(
            "values at the eps bound",
            at_least(wall, WALL_WARN, WALL_FAIL),
            subjects,
            wall,
            WALL_WARN,
            f"{wall:.0%} of the values lie on the ball's wall, or at 0 or 1; signed steps that converge end there.",
        )


def same_images(stack: Stack, clean: Stack, count: int, subjects: list[str]) -> Finding:
    """Ids and labels are those of `count` images of the clean set, in its order."""
    differing = _differing(np.array(stack.ids), stack.labels, clean, count)
    meaning = f"{differing} rows have another id or label than the clean stack's; pairs need the same images."
    return Finding("same ids and labels", PASS if differing == 0 else FAIL, subjects, differing, 0, meaning)


def cell_images(ids: np.ndarray, labels: np.ndarray, clean: Stack, count: int, subjects: list[str]) -> Finding:
    """Every cell is measured on the whole clean set, or on as many of its images as its attack names."""
    differing = _differing(ids, labels, clean, count)
    meaning = f"{differing} rows have another id or label than the test images'; cells are compared image by image."
    return Finding("same images in every cell", PASS if differing == 0 else FAIL, subjects, differing, 0, meaning)


def _differing(ids: np.ndarray, labels: np.ndarray, clean: Stack, count: int) -> int:
    """How many rows are no image of the clean set, have another label there, or are out of its order."""
    if len(ids) != count:
        return max(len(ids), count)
    rows = pd.Index(clean.ids).get_indexer(pd.Index(ids))
    if count == len(clean):
        return int(((rows != np.arange(count)) | (labels != clean.labels)).sum())
    disordered = np.concatenate([[False], np.diff(rows) <= 0])
    return int(((rows < 0) | disordered | (labels != clean.labels[rows])).sum())


def provenance(evidence: Evidence, stack: Stack, attacked: Attacked, subjects: list[str]) -> Finding:
    """The facts that make it deterministic are written down, and it was made of these clean images."""
    manifest = stack.manifest
    missing = [name for name in MADE_BY if name not in manifest.get("versions", {})]
    missing += [name for name in ("device", "code") if not manifest.get(name)]
    missing += [] if "seed" in manifest.get("spec", {}) else ["seed"]
    inputs = manifest.get("inputs", {})
    for name, place in (("images", "images/test"), ("classifier", f"classifiers/{attacked.classifier}")):
        path = manifest_of(evidence, place)
        if path.is_file() and inputs.get(name) != read_manifest(path)["seal"]:
            missing.append(f"these {name}" if name == "images" else f"this {name}")
    meaning = "The manifest names seed, code, versions and device, and was made of these images and this classifier."
    if missing:
        meaning = f"The manifest does not name {', '.join(missing)}: the stack cannot be traced or made again."
    return Finding("provenance", FAIL if missing else PASS, subjects, len(missing), 0, meaning)


def logits(probabilities: float, subjects: list[str]) -> Finding:
    """Scores are logits: probabilities are bounded, and so would be an attack's loss."""
    meaning = f"{probabilities:.0%} of the rows are probabilities (in [0,1], summing to 1); logits are expected."
    status = at_most(probabilities, PROBABILITIES_WARN, PROBABILITIES_FAIL)
    return Finding("logits, not probabilities", status, subjects, probabilities, PROBABILITIES_WARN, meaning)


def roles(evidence: Evidence) -> Iterator[Finding]:
    """No test image was trained, validated or chosen on, or is tested twice, by the hashes of check_images."""
    path = evidence.results / ROLES
    if not path.is_file():
        why = f"The images of the study's splits were not compared: there is no {ROLES}"
        yield not_run("no image has two roles", [TESTED], why, "run the workflow again, which makes it")
        return
    found = read_json(path)
    overlaps, splits = found["overlaps"], ", ".join(found["images"])
    meaning = f"{overlaps} images stand in two of {splits}, pixel by pixel."
    yield Finding("no image has two roles", PASS if overlaps == 0 else FAIL, [TESTED], overlaps, 0, meaning)
    share = found["duplicates"]["test"] / found["images"]["test"]
    status = at_most(share, DUPLICATES_WARN, DUPLICATES_FAIL)
    meaning = f"{share:.2%} of the test images are copies of another one there, and count twice in every interval."
    yield Finding("no image is tested twice", status, [TESTED], share, DUPLICATES_WARN, meaning)
