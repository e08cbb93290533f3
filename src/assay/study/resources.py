"""What each job asks a cluster for: GPUs, memory and minutes, from the study's own sizes.

Rough on purpose, and on the safe side: a job that is killed for asking too little is tried again with twice as much.
Costs are counted in floating point operations of the networks; a modest GPU is assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from assay.study.cells import Attacked, attacked_stacks, sweep
from assay.study.classifiers import PublishedClassifier
from assay.study.diffusions import PublishedDiffusion
from assay.study.model import Study
from assay.study.unet_size import unet_size

GPU_STAGES = (
    *("train_classifier", "train_diffusion", "import_classifier", "import_diffusion"),
    *("attack", "purify", "classify"),
)

OPERATIONS = 2  # a multiplication and an addition
RATE = 1e12  # operations a second that a modest GPU reaches with networks this small
MARGIN = 4  # how many times the estimate is asked for
MIN_MINUTES = 30  # waits for files, imports and slow disks
PIXEL_COST = 2e5  # operations a pixel of a classifier, forward (ResNet-50: 1.6e5)
SMALL_STEM = 16  # times that where the first convolution does not shrink the image
GRADIENT = 3  # forward and backward, in forwards
CHECKPOINTED = 4  # the same where the forward is done twice
LIBRARIES_MB = {False: 1000, True: 4000}  # host memory before any image: without and with torch and a GPU
JUDGED_IMAGES = 512  # that an imported diffusion calls its network for, to judge and to show it
BYTES_A_VALUE = 12  # a stored value, and twice as a float


@dataclass(frozen=True)
class Needs:
    """What a job asks for."""

    gpu: int
    mem_mb: int
    runtime: int  # minutes


class JobNeeds:
    """The needs of a study's jobs, by the wildcards of the rules; each attempt after the first asks for twice."""

    def __init__(self, study: Study) -> None:
        self.study = study
        swept = [cell.attacked for cell in sweep(study).attacked]
        self._attacked = {attacked.path: attacked for attacked in [*attacked_stacks(study), *swept]}

    def images(self, split: str, attempt: int = 1) -> Needs:
        count = self.study.counts[split]
        return _needs(False, count, self._pixels, count * self._pixels * PIXEL_COST, attempt)

    def classifier(self, name: str, attempt: int = 1) -> Needs:
        """Of training a classifier, or of importing it."""
        images, classifier = self.study.images, self.study.classifiers[name]
        if isinstance(classifier, PublishedClassifier):
            work = images.validation * self._classify(name)
            return _needs(True, images.validation, self._pixels, work, attempt)
        found = classifier.adversarial.gradients(images.train) if classifier.adversarial else 0
        shown = classifier.epochs * (GRADIENT * (images.train + found) + images.validation)
        return _needs(True, images.train + images.validation, self._pixels, shown * self._classify(name), attempt)

    def diffusion(self, name: str, attempt: int = 1) -> Needs:
        """Of training a diffusion, or of importing it."""
        images, diffusion = self.study.images, self.study.diffusions[name]
        if isinstance(diffusion, PublishedDiffusion):
            work = JUDGED_IMAGES * OPERATIONS * unet_size(diffusion, images.size).multiply_adds
            return _needs(True, images.validation, self._pixels, work, attempt)
        shown = diffusion.steps * (GRADIENT * diffusion.batch_size + images.validation / diffusion.validate_every)
        work = shown * OPERATIONS * unet_size(diffusion, images.size).multiply_adds
        return _needs(True, images.train + images.validation, self._pixels, work, attempt)

    def attack(self, path: str, attempt: int = 1, role: str = "") -> Needs:
        """`role` is empty for test images, `selection/` for those that sigma is chosen on."""
        attacked = self._attacked[path]
        return self._stack(role, 1, _queries(self, attacked) * self._query(attacked), attempt)

    def purify(self, purifier: str, attempt: int = 1, role: str = "") -> Needs:
        return self._stack(role, self._draws, self._draws * self._purify(purifier), attempt)

    def classify(self, classifier: str, attempt: int = 1, role: str = "") -> Needs:
        return self._stack(role, self._draws, self._draws * self._classify(classifier), attempt)

    def whole(self, attempt: int = 1) -> Needs:
        """Of summarise and report."""
        return _needs(False, self.study.evaluation.images * self._draws, self._pixels, 0.0, attempt)

    @property
    def _pixels(self) -> int:
        return self.study.images.size**2

    @property
    def _draws(self) -> int:
        return self.study.evaluation.draws

    def _stack(self, role: str, copies: int, work: float, attempt: int) -> Needs:
        """Of a stage that does `work` for each image and holds `copies` of the stack."""
        count = self.study.counts[role.rstrip("/") or "test"]
        return _needs(True, count * (1 + copies), self._pixels, count * work, attempt)

    def _classify(self, name: str) -> float:
        """Operations to classify one image."""
        return self._pixels * PIXEL_COST * (SMALL_STEM if self.study.classifiers[name].small_stem else 1)

    def _purify(self, name: str) -> float:
        """Operations to purify one image once."""
        purifier = self.study.purifiers[name]
        if getattr(purifier, "diffusion", None) is None:
            return 0.0
        diffusion = self.study.diffusions[purifier.diffusion]
        calls = (
            (getattr(purifier, "steps", None) or diffusion.time_steps) if "steps" in type(purifier).model_fields else 1
        )
        return calls * OPERATIONS * unet_size(diffusion, self.study.images.size).multiply_adds

    def _query(self, attacked: Attacked) -> float:
        """Operations of one gradient with respect to one image."""
        through = self._purify(attacked.victim.purifier) if attacked.victim.purifier else 0.0
        return GRADIENT * self._classify(attacked.classifier) + CHECKPOINTED * through


def _queries(needs: JobNeeds, attacked: Attacked) -> int:
    """Gradients, or as costly things, that an attack takes of one image."""
    attack = needs.study.attacks[attacked.attack]
    counts = [getattr(attack, name, None) or 1 for name in ("steps", "restarts", "queries", "draws")]
    return math.prod(counts)


def _needs(gpu: bool, images: int, pixels: int, work: float, attempt: int) -> Needs:
    """Of a job that holds so many images and does so many operations."""
    more = 2 ** (attempt - 1)
    memory = LIBRARIES_MB[gpu] + images * pixels * 3 * BYTES_A_VALUE / 1e6
    minutes = MIN_MINUTES + MARGIN * work / RATE / 60
    return Needs(int(gpu), 100 * math.ceil(memory / 100) * more, math.ceil(minutes) * more)
