"""What each job asks a cluster for: GPUs, memory and minutes, from the study's own sizes.

Rough on purpose, and on the safe side: a job that is killed for asking too little is tried again with twice as much.
Costs are counted in floating point operations of the networks; a modest GPU is assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from assay.planning.cells import attacked_stacks, sweep
from assay.planning.unet_size import unet_size
from assay.study.classifiers import PublishedClassifier
from assay.study.diffusions import PublishedDiffusion
from assay.study.images import Split
from assay.study.model import Study

GPU_STAGES = (
    *("train_classifier", "train_diffusion", "train_classifier_on_nodes", "train_diffusion_on_nodes"),
    *("import_classifier", "import_diffusion"),
    *("attack", "purify", "classify", "probe"),
)

OPERATIONS = 2  # a multiplication and an addition
RATE = 1e13  # operations a second that a modest GPU reaches
MARGIN = 4  # how many times the estimate is asked for
MIN_MINUTES = 30  # waits for files, imports and slow disks
PIXEL_COST = 2e5  # operations a pixel of a classifier, forward (ResNet-50: 1.6e5)
SMALL_STEM = 16  # times that where the first convolution does not shrink the image
GRADIENT = 3  # forward and backward, in forwards
CHECKPOINTED = 4  # the same where the forward is done twice
LIBRARIES_MB = {False: 1000, True: 4000}  # host memory before any image: without and with torch and a GPU
JUDGED_IMAGES = 512  # that an imported diffusion calls its network for, to judge and to show it
BYTES_A_VALUE = 2  # stacks are mapped, not loaded: what is wanted of memory is that they stay there
HELD_MB = 500  # what a stage that makes stacks holds of them, and its tables


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

    def of(self, stage: str, attempt: int, **wildcards: str) -> Needs:
        """Of a stage's job, by the rules' wildcards."""
        role = wildcards.get("role", "")
        match stage:
            case "prepare_images":
                return self.images(wildcards["split"], attempt)
            case "index_images":
                return self.index(attempt)
            case "check_images":
                return self.check(attempt)
            case "train_classifier" | "import_classifier":
                return self.classifier(wildcards["classifier"], attempt)
            case "train_diffusion" | "import_diffusion":
                return self.diffusion(wildcards["diffusion"], attempt)
            case "attack":
                return self.attack(wildcards["attacked_path"], attempt, role)
            case "probe":
                return self.probe(wildcards["attacked_path"], attempt)
            case "purify":
                return self.purify(wildcards["purifier"], attempt, role)
            case "classify":
                return self.classify(wildcards["classifier"], attempt, role)
        return self.whole(attempt)

    def images(self, split: str, attempt: int = 1) -> Needs:
        return self._read_images(self._counts[split], attempt)

    def index(self, attempt: int = 1) -> Needs:
        return self._read_images(self.study.images.total, attempt)

    def check(self, attempt: int = 1) -> Needs:
        return self._read_images(sum(self._counts.values()), attempt)

    def classifier(self, name: str, attempt: int = 1) -> Needs:
        """Of training a classifier, or of importing it."""
        train, validation = self._counts["train"], self._counts["validation"]
        classifier = self.study.classifiers[name]
        if isinstance(classifier, PublishedClassifier):
            return _needs(True, validation, self._pixels, validation * self._classify(name), attempt)
        seen, validations = classifier.images_seen(train), classifier.validations(train)
        found = classifier.objective.extra_gradients(seen, validations)
        shown = GRADIENT * (seen + found) + validations * validation
        return _needs(True, train + validation, self._pixels, shown * self._classify(name), attempt)

    def diffusion(self, name: str, attempt: int = 1) -> Needs:
        """Of training a diffusion, or of importing it."""
        train, validation = self._counts["train"], self._counts["validation"]
        diffusion = self.study.diffusions[name]
        call = OPERATIONS * unet_size(diffusion, self.study.images.size).multiply_adds
        if isinstance(diffusion, PublishedDiffusion):
            return _needs(True, validation, self._pixels, JUDGED_IMAGES * call, attempt)
        seen, validations = diffusion.images_seen(train), diffusion.validations(train)
        found = diffusion.objective.extra_gradients(seen, validations)
        shown = GRADIENT * (seen + found) + validations * validation
        return _needs(True, train + validation, self._pixels, shown * call, attempt)

    def attack(self, path: str, attempt: int = 1, role: str = "") -> Needs:
        """Of one part of the stack, if it is cut.

        `role` is empty for test images, `selection/` for those that sigma is chosen on.
        """
        attacked = self._attacked[path]
        attack = self.study.attacks[attacked.attack]
        gradients, forwards = attack.passes
        true = self._purify(attacked.victim.purifier)
        followed = self._purify(attacked.victim.purifier, attack.threat.steps)
        followed *= CHECKPOINTED if attack.threat.backward else 1
        through = gradients * followed + forwards * true
        work = through + (GRADIENT * gradients + forwards) * self._classify(attacked.classifier)
        return self._stack(role, 1, work / self._parts(role), attempt)

    def probe(self, path: str, attempt: int = 1) -> Needs:
        """A few attacks on a few images; the whole stack is read for that."""
        checks, whole = self.study.checks, self.attack(path, attempt)
        share = checks.attacks * checks.images / self._counts["test"] * self._parts("")
        return replace(whole, runtime=math.ceil(MIN_MINUTES * 2 ** (attempt - 1) + whole.runtime * share))

    def purify(self, purifier: str, attempt: int = 1, role: str = "") -> Needs:
        work = self._draws * self._purify(purifier) / self._parts(role)
        return self._stack(role, self._draws, work, attempt)

    def classify(self, classifier: str, attempt: int = 1, role: str = "") -> Needs:
        return self._stack(role, self._draws, self._draws * self._classify(classifier), attempt)

    def whole(self, attempt: int = 1) -> Needs:
        """Of summarise, check and report."""
        return _needs(False, self.study.evaluation.images * self._draws, self._pixels, 0.0, attempt)

    def _read_images(self, count: int, attempt: int) -> Needs:
        """Of a stage that looks at so many images of the data set once, a few at a time."""
        return _needs(False, 0, self._pixels, count * self._pixels * PIXEL_COST, attempt)

    @property
    def _counts(self) -> dict[Split, int]:
        return self.study.expected_counts

    @property
    def _pixels(self) -> int:
        return self.study.images.size**2

    @property
    def _draws(self) -> int:
        return self.study.evaluation.draws

    def _stack(self, role: str, copies: int, work: float, attempt: int) -> Needs:
        """Of a stage that does `work` for each image and holds `copies` of the stack."""
        count = self._count(role)
        return _needs(True, count * (1 + copies), self._pixels, count * work, attempt)

    def _count(self, role: str) -> int:
        return self.study.counts["selection" if role else "test"]

    def _parts(self, role: str) -> int:
        """In how many jobs a stack is attacked or purified."""
        return max(1, len(self.study.evaluation.parts(self._count(role))))

    def _classify(self, name: str) -> float:
        """Operations to classify one image."""
        return self._pixels * PIXEL_COST * (SMALL_STEM if getattr(self.study.classifiers[name], "small_stem", False) else 1)

    def _purify(self, name: str | None, steps: int | None = None) -> float:
        """Operations to purify one image once, with other steps if so many are given."""
        purifier = self.study.purifiers[name] if name else None
        if getattr(purifier, "diffusion", None) is None:
            return 0.0
        diffusion = self.study.diffusions[purifier.diffusion]
        own = (purifier.steps or diffusion.time_steps) if "steps" in type(purifier).model_fields else 1
        calls = steps or own
        return calls * OPERATIONS * unet_size(diffusion, self.study.images.size).multiply_adds


def _needs(gpu: bool, images: int, pixels: int, work: float, attempt: int) -> Needs:
    """Of a job that holds so many images and does so many operations."""
    more = 2 ** (attempt - 1)
    memory = LIBRARIES_MB[gpu] + HELD_MB + images * pixels * 3 * BYTES_A_VALUE / 1e6
    minutes = MIN_MINUTES + MARGIN * work / RATE / 60
    return Needs(int(gpu), 100 * math.ceil(memory / 100) * more, math.ceil(minutes) * more)
