"""What each job costs: what it computes, reads, holds and writes, by arithmetic on its spec and the study's sizes.

One model for what a cluster is asked for and for what `scripts/plan.py` says. The unit of networks is the multiply-add;
passes of an image through a network are counted in forward passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import Any

from pydantic import TypeAdapter

from assay.planning.cells import attack_at, cells
from assay.planning.networks import Described, NetworkSizes, Size, describe
from assay.study.attacks import AnyAttack, AttackSpec, storage_bits
from assay.study.certificates import ATTACK_DRAWS, ATTACK_STEPS, AttackCertificatesSpec, CertifySpec
from assay.study.classifiers import AnyClassifier, Classifier, ClassifierSpec, PublishedClassifierSpec
from assay.study.diffusions import AnyDiffusion, Diffusion, DiffusionSpec, PublishedDiffusionSpec
from assay.study.evaluation import ClassifySpec
from assay.study.fields import MOST, SELECTED, Model
from assay.study.images import AnySource, FetchSpec, ImagesSpec, IndexSpec, length_of
from assay.study.model import Study
from assay.study.probing import ProbeSpec
from assay.study.purifiers import AnyPurifier, PurifySpec, PythonPurifier
from assay.study.schedules import steps_down
from assay.study.sources import LIST_FILES, MASKS_FILE, Split

# A pass with a gradient, in forward passes: with respect to the image alone, or to the weights too. A step of a
# sampler that is computed once more for its gradient takes one more.
TO_IMAGE, TO_WEIGHTS, REPLAYED = 2, 3, 1
VALIDATED_IMAGES = 256  # that a diffusion's validation loss is taken on
SEQUENTIAL_SHARE = 1 / 3  # of the fixed draws that the sequential test takes, at most where it is worth having
JUDGED_IMAGES = 512  # that an imported diffusion is called for, to judge and to show it
WEIGHTS_IN_TRAINING = 5  # weights, their gradient, AdamW's two moments and the running mean

COLOURS = 3
FLOAT_BYTES = 4
PAGE_BYTES = 184  # of TIFF tags an image
MANIFEST_BYTES = 1500
SHEET_BYTES = 200_000  # a diffusion's samples.png, and its config
ROW_BYTES = {"index_images": 55, "prepare_images": 31, "attack": 62, "purify": 16, "classify": 16}
SCORE_BYTES = 32  # of a row of scores, in memory
INDEX_BYTES = 500  # of a row of an index, in memory

# Units of work in a second. Of networks what a modest GPU reaches, of all else what one core does.
NETWORKS = ("classifier", "diffusion")
RATES = {"classifier": 5e12, "diffusion": 5e12, "pixels": 1e6, "pixels read": 1e7, "noisy pixels": 5e6, "bytes": 5e6}


@dataclass(frozen=True)
class Cost:
    """An amount of work in a unit that stages share (None where it is not known), and bytes.

    Units: `pixels` drawn; `pixels read`; `noisy pixels`; `bytes` fetched; multiply-adds of a `classifier`, or mostly of
    a `diffusion`. Bytes `written` to stay on disk (None where it is not known); bytes `held` of memory, for stacks that
    are read (mapped, so that they need not be, but had better be) and weights; and `at_work`, what networks hold for a
    batch, on the GPU if there is one. So many `processes` share the work.
    """

    unit: str
    amount: float | None
    written: int | None = 0
    held: int = 0
    at_work: int = 0
    processes: int = 1

    @property
    def seconds(self) -> float:
        """The time that it takes, roughly: networks on a modest GPU, all else on one core."""
        return (self.amount or 0) / RATES[self.unit]

    @property
    def multiply_adds(self) -> float:
        """What networks compute."""
        return self.amount or 0.0 if self.unit in NETWORKS else 0.0

    def share(self, parts: int) -> Cost:
        """Of one of so many parts; the stack is written by the job that puts the parts together."""
        amount = None if self.amount is None else self.amount / parts
        return replace(self, amount=amount, written=0)

    def put_together(self) -> Cost:
        """Of the job that writes the stack whose parts others have computed."""
        return replace(self, amount=0.0)


@dataclass(frozen=True)
class Sizes:
    """The sizes of a study that the specs of its jobs do not hold."""

    source: AnySource
    counts: Mapping[str, int]
    total: int  # images in the data set's files
    draws: int
    subsets: Mapping[str, int]  # images of the attacks that are not made on all test images, by their names
    classifiers: Mapping[str, AnyClassifier]
    diffusions: Mapping[str, AnyDiffusion]
    selected: float  # the selected sigma; before it is chosen, the highest that it can be
    measured: NetworkSizes

    @property
    def side(self) -> int:
        """Pixels of a side of an image."""
        return self.source.size

    @property
    def classes(self) -> int:
        """About how many classes there are."""
        return self.source.expected_classes

    def network(self, network: AnyClassifier | AnyDiffusion) -> Size:
        """The size of one of the study's networks."""
        return self.measured.of(network, self.side, self.classes)

    @property
    def described(self) -> dict[str, Described | None]:
        """What the sizes of the study's networks depend on, by their names."""
        networks = {**self.classifiers, **self.diffusions}
        return {name: describe(network, self.side, self.classes) for name, network in networks.items()}

    def images(self, folder: str) -> int:
        """How many images there are in a study's folder of clean, attacked or purified ones, not counting draws."""
        if "selection" in PurePath(folder).parts:
            return self.counts["selection"]
        return min(self.counts["test"], self.subsets.get(attack_at(folder), MOST))

    def stack(self, images: int, depth: int = 1, rows: str = "prepare_images") -> int:
        """The bytes of a stack of so many images with `depth` bytes a value."""
        return images * (COLOURS * self.side**2 * depth + PAGE_BYTES + ROW_BYTES[rows]) + MANIFEST_BYTES

    def split(self, name: Split) -> int:
        """The bytes of a split: its stack, with its masks if it has any, or a list of the images in their own files."""
        files, count = self.source.stack_files(name), self.counts[name]
        masks = count * self.side**2 if MASKS_FILE in files else 0
        return masks + (self.stack(count) if files != LIST_FILES else count * ROW_BYTES["index_images"])


def sizes_of_study(study: Study, measured: NetworkSizes) -> Sizes:
    """The sizes of a study before it is started."""
    images = study.images
    return Sizes(
        source=images,
        counts=study.expected_counts,
        total=images.total,
        draws=study.evaluation.draws,
        subsets={name: attack.images for name, attack in study.attacks.items() if attack.images},
        classifiers=study.classifiers,
        diffusions=study.diffusions,
        selected=max(study.selection.sigmas) if study.selection else 0.0,
        measured=measured,
    )


Folders = Mapping[str, str]  # of a job's inputs, by role; only their paths are looked at


def cost(stage: str, spec: Model, folders: Folders, sizes: Sizes) -> Cost | None:
    """What the job of a stage costs; None for a stage that works on a whole study."""
    return STAGES[stage][1](spec, folders, sizes) if stage in STAGES else None


def cost_of_study(study: Study, sizes: Sizes) -> Cost:
    """What a stage costs that reads the scores of a whole study: some memory."""
    rows = len(cells(study)) * sizes.counts["test"] * sizes.draws
    return Cost("bytes", 0, held=SCORE_BYTES * rows + sizes.stack(sizes.counts["test"]))


# Images


def _fetch(spec: FetchSpec, folders: Folders, sizes: Sizes) -> Cost:
    known = length_of(spec.file, spec.checksum)
    return Cost("bytes", known, written=known)


def _index(spec: IndexSpec, folders: Folders, sizes: Sizes) -> Cost:
    written = sizes.total * ROW_BYTES["index_images"] + MANIFEST_BYTES
    return Cost("pixels read", sizes.total * spec.images.size**2, written, INDEX_BYTES * sizes.total)


def _images(spec: ImagesSpec, folders: Folders, sizes: Sizes) -> Cost:
    count = sizes.counts[spec.split]
    unit = "pixels" if spec.images.source == "phantom" else "pixels read"
    return Cost(unit, count * spec.images.size**2, sizes.split(spec.split), INDEX_BYTES * sizes.total)


# Networks


def _train_classifier(spec: ClassifierSpec, folders: Folders, sizes: Sizes) -> Cost:
    return _trained("classifier", spec.classifier, sizes.counts["validation"], sizes)


def _train_diffusion(spec: DiffusionSpec, folders: Folders, sizes: Sizes) -> Cost:
    return _trained("diffusion", spec.diffusion, min(VALIDATED_IMAGES, sizes.counts["validation"]), sizes, SHEET_BYTES)


def _trained(kind: str, recipe: Classifier | Diffusion, validated: int, sizes: Sizes, beside: int = 0) -> Cost:
    images, network = sizes.counts["train"], sizes.network(recipe)
    seen, validations = recipe.images_seen(images), recipe.validations(images)
    found = recipe.objective.extra_gradients(seen, validations)
    passes = TO_WEIGHTS * seen + TO_IMAGE * found + validations * validated
    asked = [need.name for need in recipe.objective.needs.values() if need.kind == "classifier"]
    guides = [sizes.network(sizes.classifiers[name]) for name in asked]
    weights, ranks = FLOAT_BYTES * network.parameters, recipe.ranks
    processes = ranks.nodes * ranks.gpus if ranks else 1
    return Cost(
        kind,
        passes * network.multiply_adds + TO_IMAGE * seen * sum(guide.multiply_adds for guide in guides),
        written=weights + beside + MANIFEST_BYTES,
        held=sizes.split("train") + sizes.split("validation") + WEIGHTS_IN_TRAINING * weights + _weights(*guides),
        at_work=recipe.batch_size
        // recipe.accumulate
        * (network.gradient_bytes + network.call_bytes + sum(guide.gradient_bytes for guide in guides)),
        processes=processes,
    )


def _import_classifier(spec: PublishedClassifierSpec, folders: Folders, sizes: Sizes) -> Cost:
    return _imported("classifier", sizes.network(spec.classifier), sizes.counts["validation"], sizes)


def _import_diffusion(spec: PublishedDiffusionSpec, folders: Folders, sizes: Sizes) -> Cost:
    return _imported("diffusion", sizes.network(spec.diffusion), JUDGED_IMAGES, sizes, SHEET_BYTES)


def _imported(kind: str, network: Size, passes: int, sizes: Sizes, beside: int = 0) -> Cost:
    weights = FLOAT_BYTES * network.parameters
    return Cost(
        kind,
        passes * network.multiply_adds,
        written=weights + beside + MANIFEST_BYTES,
        held=sizes.stack(sizes.counts["validation"]) + _weights(network),
        at_work=64 * network.call_bytes,
    )


# Cells


def _attack(spec: AttackSpec, folders: Folders, sizes: Sizes) -> Cost:
    attack, images = spec.attack, _attacked(spec, folders, sizes)
    gradients, forwards = attack.passes
    bare = sizes.network(sizes.classifiers[PurePath(folders["classifier"]).name])
    purifier = TypeAdapter(AnyPurifier).validate_python(spec.purifier) if spec.purifier else None
    votes = purifier.votes if purifier else 1
    gradients, forwards = gradients * (1 if attack.threat.fresh else votes), forwards * votes
    amount = (TO_IMAGE * gradients + forwards) * bare.multiply_adds
    at_work = bare.call_bytes + (bare.gradient_bytes if gradients else 0)
    network, calls = _denoising(purifier, sizes)
    if network:
        followed = calls if attack.threat.steps is None else _denoising(_with_steps(purifier, attack), sizes)[1]
        back = TO_IMAGE - 1 + (REPLAYED if followed > 1 else 0) if attack.threat.backward else 0
        amount += (gradients * (1 + back) * followed + forwards * calls) * network.multiply_adds
        at_work += network.call_bytes + (network.gradient_bytes if gradients and back else 0)
    return Cost(
        "diffusion" if network else "classifier",
        images * amount,
        written=sizes.stack(images, storage_bits(attack.ball, attack.radius) // 8, "attack"),
        held=sizes.stack(images) + _weights(bare, network),
        at_work=spec.batch_size * at_work,
    )


def _attacked(spec: AttackSpec | ProbeSpec, folders: Folders, sizes: Sizes) -> int:
    """How many images an attack is made on."""
    return min(sizes.images(folders["images"]), spec.attack.images or MOST)


def _probe(spec: ProbeSpec, folders: Folders, sizes: Sizes) -> Cost:
    """A few attacks on a few images; the stacks are read whole."""
    attack, times = _attack(spec, folders, sizes), spec.checks.times(_attacked(spec, folders, sizes))
    return replace(attack, amount=times * (attack.amount or 0), written=0)


def _purify(spec: PurifySpec, folders: Folders, sizes: Sizes) -> Cost:
    images = sizes.images(folders["images"])
    rows = images * spec.draws * spec.purifier.votes
    network, calls = _denoising(spec.purifier, sizes)
    return Cost(
        "diffusion" if network else "noisy pixels",
        rows * (calls * network.multiply_adds if network else sizes.side**2 * getattr(spec.purifier, "pixel_work", 1)),
        written=sizes.stack(rows, 2, "purify"),
        held=sizes.stack(images, 2) + _weights(network),
        at_work=spec.batch_size * (network.call_bytes if network else 0),
    )


def _classify(spec: ClassifySpec, folders: Folders, sizes: Sizes) -> Cost:
    purified = "purified" in PurePath(folders["images"]).parts
    images = sizes.images(folders["images"])
    rows = images * (sizes.draws * spec.votes if purified else 1)
    network = sizes.network(sizes.classifiers[PurePath(folders["classifier"]).name])
    return Cost(
        "classifier",
        rows * network.multiply_adds,
        written=FLOAT_BYTES * rows // spec.votes * sizes.classes + images * ROW_BYTES["classify"] + MANIFEST_BYTES,
        held=sizes.stack(rows, 2) + _weights(network),
        at_work=spec.batch_size * network.call_bytes,
    )


def _certify(spec: CertifySpec, folders: Folders, sizes: Sizes) -> Cost:
    images = spec.images or sizes.counts["test"]
    sequential = SEQUENTIAL_SHARE * spec.draws if spec.radius else 0
    rows = images * (spec.selection_draws + spec.draws + sequential)
    written = 2 * FLOAT_BYTES * images * sizes.classes + images * ROW_BYTES["classify"] + 2 * MANIFEST_BYTES
    return replace(_voted(spec, rows, 0, folders, sizes), written=written)


def _attack_certificates(spec: AttackCertificatesSpec, folders: Folders, sizes: Sizes) -> Cost:
    """Two attacks on each image, inside its radius and beyond, and a prediction after each."""
    return _voted(spec, 2 * spec.images * spec.draws, 2 * spec.images * ATTACK_STEPS * ATTACK_DRAWS, folders, sizes)


def _voted(
    spec: CertifySpec | AttackCertificatesSpec, rows: float, gradients: int, folders: Folders, sizes: Sizes
) -> Cost:
    """Draws of a smoothed classifier: `rows` without gradient and `gradients` with one."""
    bare = sizes.network(sizes.classifiers[PurePath(folders["classifier"]).name])
    network, calls = _denoising(spec.purifier, sizes)
    amount = (rows + TO_IMAGE * gradients) * bare.multiply_adds
    if network:
        back = TO_IMAGE + (REPLAYED if calls > 1 else 0)
        amount += (rows + back * gradients) * calls * network.multiply_adds
    both = [found for found in (bare, network) if found]
    calling = spec.batch_size * sum(found.call_bytes for found in both)
    following = ATTACK_DRAWS * sum(found.gradient_bytes for found in both) if gradients else 0
    return Cost(
        "diffusion" if network else "classifier",
        amount,
        held=sizes.stack(sizes.counts["test"]) + _weights(bare, network),
        at_work=max(calling, following),
    )


def _denoising(purifier: AnyPurifier | None, sizes: Sizes) -> tuple[Size | None, int]:
    """The network that a purifier calls, if any, and how often for an image and a draw."""
    named = [need.name for need in purifier.needs.values() if need.kind == "diffusion"] if purifier else []
    if not named:
        return None, 0
    diffusion = sizes.diffusions[named[0]]
    sigma = sizes.selected if purifier.sigma == SELECTED else purifier.sigma
    if isinstance(purifier, PythonPurifier):
        return sizes.network(diffusion), getattr(purifier, "steps", None) or 1
    return sizes.network(diffusion), purifier.calls(partial(steps_down, diffusion), sigma)


def _with_steps(purifier: AnyPurifier, attack: AnyAttack) -> AnyPurifier:
    """The surrogate that an attack follows in place of a purifier."""
    return purifier.model_copy(update={"steps": attack.threat.steps})


def _weights(*networks: Size | None) -> int:
    """The bytes of the weights, twice: as they are read from a file too."""
    return 2 * FLOAT_BYTES * sum(network.parameters for network in networks if network)


# The model of each stage's spec, and what its jobs cost.
STAGES: dict[str, tuple[type[Model], Callable[[Any, Folders, Sizes], Cost]]] = {
    "fetch_images": (FetchSpec, _fetch),
    "index_images": (IndexSpec, _index),
    "prepare_images": (ImagesSpec, _images),
    "train_classifier": (ClassifierSpec, _train_classifier),
    "train_diffusion": (DiffusionSpec, _train_diffusion),
    "import_classifier": (PublishedClassifierSpec, _import_classifier),
    "import_diffusion": (PublishedDiffusionSpec, _import_diffusion),
    "attack": (AttackSpec, _attack),
    "probe": (ProbeSpec, _probe),
    "purify": (PurifySpec, _purify),
    "classify": (ClassifySpec, _classify),
    "certify": (CertifySpec, _certify),
    "attack_certificates": (AttackCertificatesSpec, _attack_certificates),
}
