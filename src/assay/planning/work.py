"""What a job has to compute and to write, by arithmetic on its spec and the study's sizes; it opens only JSON."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from assay.diffusion.schedule import Schedule
from assay.files import AssayError, canonical_json, read_json
from assay.planning.resources import JUDGED_IMAGES
from assay.planning.unet_size import Size, unet_size
from assay.study.attacks import AnyAttack, Attack, storage_bits
from assay.study.checks import Checks
from assay.study.classifiers import AnyClassifier, Classifier, Network, PublishedClassifier
from assay.study.diffusions import AnyDiffusion, Diffusion, PublishedDiffusion
from assay.study.fields import SELECTED
from assay.study.images import PCAM_FILES
from assay.study.model import Study
from assay.study.purifiers import AnyPurifier, Purifier
from assay.study.selection import read_sigma

# Where the artifact of each stage lies; its benchmark file has the same path below benchmarks/<stage>/.
FOLDERS = {
    "index_images": "images",
    "prepare_images": "images",
    "train_classifier": "classifiers",
    "train_diffusion": "diffusions",
    "import_classifier": "classifiers",
    "import_diffusion": "diffusions",
    "attack": "adversarial",
    "purify": "purified",
    "classify": "scores",
}
SELECTION = "selection/"  # the artifacts that sigma is chosen from lie below it, in folders like those of the test
SELECTED_SIGMA = "selection/sigma.json"
INDEX = "index"  # lies beside the splits
PART = re.compile(r"\.part-\d+-of-(\d+)$")
NO_PART = ""
WITH_GRADIENT = 3  # a forward and a backward pass, in forward passes

COLOURS = 3
PAGE_BYTES = 184  # of TIFF tags an image
FLOAT_BYTES = 4
MANIFEST_BYTES = 1500
ROW_BYTES = {"index_images": 55, "prepare_images": 31, "attack": 62, "purify": 16, "classify": 40}
SHEET_BYTES = 200_000  # a diffusion's samples.png, and its config


@dataclass(frozen=True)
class Work:
    """An amount of work, in a unit that stages share, and the bytes that stay on disk; None where it is not known.

    Units: `pixels` drawn; `pixels read`; `noisy pixels`; `bytes` fetched; and multiply-adds of a `classifier` or mostly
    of a `diffusion`.
    """

    unit: str
    amount: float | None
    bytes: int | None


@dataclass(frozen=True)
class Sizes:
    """The sizes of a study that the specs of its jobs do not hold."""

    side: int
    counts: Mapping[str, int]
    total: int  # images in the data set's files
    draws: int
    classifiers: Mapping[str, Classifier | PublishedClassifier]
    diffusions: Mapping[str, Diffusion | PublishedDiffusion]
    selected: float = 0.0  # the selected sigma; before it is chosen, the highest that it can be


def sizes_of_study(study: Study) -> Sizes:
    """The sizes of a study before it is started."""
    images, draws = study.images, study.evaluation.draws
    highest = max(study.selection.sigmas) if study.selection else 0.0
    counts = study.expected_counts
    return Sizes(images.size, counts, images.total, draws, study.classifiers, study.diffusions, highest)


def sizes_of_results(results: Path) -> Sizes | None:
    """The sizes of a study whose artifacts lie in `results`, from their manifests; None without test images."""
    folders = [folder for folder in _folders(results, "images") if folder.name != INDEX]
    images = {folder.name: spec for folder in folders if (spec := read_spec(folder))}
    if "test" not in images:
        return None
    draws = max(  # of a locked threat's stacks it is one
        (spec["draws"] for path in results.glob("purified/**/manifest.json") if (spec := read_spec(path.parent))),
        default=1,
    )
    return Sizes(
        side=images["test"]["images"]["size"],
        counts={
            split: spec["count"] or _facts(results / "images" / split).get("images", 0)
            for split, spec in images.items()
        },
        total=sum(file["images"] for file in _facts(results / "images" / INDEX).get("files", {}).values()),
        draws=draws,
        classifiers=_networks(results, "classifiers", "classifier", AnyClassifier),
        diffusions=_networks(results, "diffusions", "diffusion", AnyDiffusion),
        selected=_selected(results),
    )


def _selected(results: Path) -> float:
    try:
        return read_sigma(results / SELECTED_SIGMA)
    except AssayError:
        return 0.0


def _role(name: str, sizes: Sizes) -> tuple[int, str]:
    """How many images the stack `name` has, and its place among stacks of its role."""
    inside = name.removeprefix(SELECTION)
    return sizes.counts["test" if inside == name else "selection"], inside


def read_spec(folder: Path) -> dict[str, Any] | None:
    """The spec in an artifact's manifest, if there is one that can be read."""
    try:
        return read_json(folder / "manifest.json")["spec"]
    except (AssayError, KeyError, TypeError):
        return None


def _facts(folder: Path) -> dict[str, Any]:
    try:
        return read_json(folder / "manifest.json")["facts"]
    except (AssayError, KeyError, TypeError):
        return {}


def split_place(benchmark: Path, benchmarks: str) -> tuple[str, str, int]:
    """Of a benchmark file: its stage, its artifact's path below the stage's folder, and how many parts that has.

    `benchmarks/purify/clean/ddpm/sigma-0.1.part-1-of-3.tsv` -> purify, clean/ddpm/sigma-0.1, 3.
    """
    parts = benchmark.parts
    stage, *rest = parts[len(parts) - parts[::-1].index(benchmarks) :]
    name = "/".join(rest).removesuffix(".tsv")
    found = PART.search(name)
    return stage, PART.sub(NO_PART, name), int(found[1]) if found else 1


def work(stage: str, name: str, spec: Mapping[str, Any], sizes: Sizes) -> Work | None:
    """The work of the job that makes the artifact `name` (as `split_place` has it); None for a stage without any."""
    try:
        return STAGES[stage](name, spec, sizes) if stage in STAGES else None
    except (KeyError, TypeError, ValueError, ValidationError, AssayError):  # a manifest of other code
        return None


def _fetch(name: str, spec: Mapping[str, Any], sizes: Sizes) -> Work:
    sha256, length = PCAM_FILES.get(spec["file"], (None, None))
    return Work("bytes", None, length if spec["checksum"] == sha256 else None)


def _index(name: str, spec: Mapping[str, Any], sizes: Sizes) -> Work:
    disk = sizes.total * ROW_BYTES["index_images"] + MANIFEST_BYTES
    return Work("pixels read", sizes.total * spec["images"]["size"] ** 2, disk)


def _images(name: str, spec: Mapping[str, Any], sizes: Sizes) -> Work:
    count, side = sizes.counts[spec["split"]], spec["images"]["size"]
    unit = "pixels" if spec["images"]["source"] == "phantom" else "pixels read"
    return Work(unit, count * side**2, _stack_bytes("prepare_images", count, side, 1))


def _train_classifier(name: str, spec: Mapping[str, Any], sizes: Sizes) -> Work:
    classifier = Classifier.model_validate(spec["classifier"])
    network = classifier_size(classifier, sizes.side)
    passes = _passes(classifier, sizes)
    return Work("classifier", _times(passes, network), _weights(network))


def _passes(recipe: Classifier | Diffusion, sizes: Sizes) -> float:
    """Passes through the network, a gradient counted as several, in a training."""
    images = sizes.counts["train"]
    seen = recipe.images_seen(images)
    return WITH_GRADIENT * (seen + recipe.objective.extra_gradients(seen, recipe.validations(images)))


def _import_classifier(name: str, spec: Mapping[str, Any], sizes: Sizes) -> Work:
    network = classifier_size(PublishedClassifier.model_validate(spec["classifier"]), sizes.side)
    return Work("classifier", _times(sizes.counts["validation"], network), _weights(network))


def _weights(network: Size | None) -> int | None:
    """The bytes of a classifier's artifact."""
    return None if network is None else FLOAT_BYTES * network.parameters + MANIFEST_BYTES


def _train_diffusion(name: str, spec: Mapping[str, Any], sizes: Sizes) -> Work:
    diffusion = Diffusion.model_validate(spec["diffusion"])
    network = unet_size(diffusion, sizes.side)
    passes = _passes(diffusion, sizes)
    return Work(
        "diffusion", passes * network.multiply_adds, FLOAT_BYTES * network.parameters + SHEET_BYTES + MANIFEST_BYTES
    )


def _import_diffusion(name: str, spec: Mapping[str, Any], sizes: Sizes) -> Work:
    network = unet_size(PublishedDiffusion.model_validate(spec["diffusion"]), sizes.side)
    disk = FLOAT_BYTES * network.parameters + SHEET_BYTES + MANIFEST_BYTES
    return Work("diffusion", JUDGED_IMAGES * network.multiply_adds, disk)


def _attack(name: str, spec: Mapping[str, Any], sizes: Sizes) -> Work:
    attack: Attack = TypeAdapter(AnyAttack).validate_python(spec["attack"])
    count, place = _role(name, sizes)
    disk = _stack_bytes("attack", count, sizes.side, storage_bits(attack.ball, attack.radius) // 8)
    gradients, forwards = attack.passes
    passes = count * (WITH_GRADIENT * gradients + forwards)
    bare = classifier_size(sizes.classifiers[place.split("/")[0]], sizes.side)
    purifier = TypeAdapter(AnyPurifier).validate_python(spec["purifier"]) if spec["purifier"] else None
    if purifier and hasattr(purifier, "diffusion"):
        network, calls = _denoiser(purifier, sizes)
        followed = attack.threat.steps or calls
        replayed = 1 if followed > 1 else 0  # a sampler's steps are checkpointed
        each = WITH_GRADIENT + replayed if attack.threat.backward else 1
        through = gradients * each * followed + forwards * calls
        purified = count * through * network.multiply_adds
        return Work("diffusion", purified + passes * (bare.multiply_adds if bare else 0), disk)
    return Work("classifier", _times(passes, bare), disk)


def _probe(name: str, spec: Mapping[str, Any], sizes: Sizes) -> Work:
    checks, attack = Checks.model_validate(spec["checks"]), _attack(name, spec, sizes)
    share = checks.attacks * checks.images / sizes.counts["test"]
    return Work(attack.unit, None if attack.amount is None else share * attack.amount, 0)


def _purify(name: str, spec: Mapping[str, Any], sizes: Sizes) -> Work:
    purifier: Purifier = TypeAdapter(AnyPurifier).validate_python(spec["purifier"])
    images = _role(name, sizes)[0] * spec["draws"]
    disk = _stack_bytes("purify", images, sizes.side, 2)
    if not hasattr(purifier, "diffusion"):
        return Work("noisy pixels", images * sizes.side**2, disk)
    network, calls = _denoiser(purifier, sizes)
    return Work("diffusion", images * calls * network.multiply_adds, disk)


def _denoiser(purifier: Purifier, sizes: Sizes) -> tuple[Size, int]:
    """The network that a purifier calls, and how often for an image and a draw."""
    diffusion = sizes.diffusions[purifier.diffusion]
    steps = 1 if purifier.method == "oneshot" else purifier.steps
    schedule = Schedule(diffusion.schedule, diffusion.time_steps, diffusion.data_range)
    sigma = sizes.selected if purifier.sigma == SELECTED else purifier.sigma
    return unet_size(diffusion, sizes.side), len(schedule.ladder(sigma, steps)) - 1


def _classify(name: str, spec: Mapping[str, Any], sizes: Sizes) -> Work:
    count, place = _role(name, sizes)
    classifier, purifier = place.split("/")[0], place.split("/")[-2]
    rows = count * (1 if purifier == "none" else sizes.draws)
    disk = rows * ROW_BYTES["classify"] + MANIFEST_BYTES
    return Work("classifier", _times(rows, classifier_size(sizes.classifiers[classifier], sizes.side)), disk)


STAGES: dict[str, Callable[[str, Mapping[str, Any], Sizes], Work]] = {
    "fetch_images": _fetch,
    "index_images": _index,
    "prepare_images": _images,
    "train_classifier": _train_classifier,
    "train_diffusion": _train_diffusion,
    "import_classifier": _import_classifier,
    "import_diffusion": _import_diffusion,
    "attack": _attack,
    "probe": _probe,
    "purify": _purify,
    "classify": _classify,
}


def classifier_size(classifier: Network | PublishedClassifier, side: int) -> Size | None:
    """The size of a classifier's network for images of `side` pixels.

    None where torch is not installed to build it, or the config does not name the network of a published one.
    """
    if isinstance(classifier, PublishedClassifier):
        described = published_network(classifier)
        return classifier_size(described, side) if described else None
    keys = {"network", "arguments", "small_stem"}
    return _classifier_size(canonical_json(classifier.model_dump(mode="json", include=keys)), side)


def published_network(classifier: PublishedClassifier) -> Network | None:
    """What a published classifier is built from, as far as its config, or config.json in a local folder, tells."""
    if classifier.network:
        return Network(network=classifier.network, arguments=classifier.arguments)
    try:
        config = read_json(Path(classifier.published) / "config.json")
        return Network(network=f"timm/{config['architecture']}", arguments=config.get("model_args") or {})
    except (AssayError, KeyError, TypeError, OSError):
        return None


@functools.cache
def _classifier_size(classifier: str, side: int) -> Size | None:
    try:
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        from assay.networks.classifier import build_classifier
    except ImportError:
        return None
    with torch.device("meta"), torch.inference_mode():  # shapes alone, nothing is computed
        network = build_classifier(Network.model_validate_json(classifier), classes=2).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, COLOURS, side, side))
    return Size(sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() // 2)


def _stack_bytes(stage: str, images: int, side: int, depth: int) -> int:
    return images * (COLOURS * side**2 * depth + PAGE_BYTES + ROW_BYTES[stage]) + MANIFEST_BYTES


def _times(passes: float, network: Size | None) -> float | None:
    return None if network is None else passes * network.multiply_adds


def _folders(results: Path, kind: str) -> list[Path]:
    return sorted(path.parent for path in results.glob(f"{kind}/*/manifest.json"))


def _networks(results: Path, kind: str, key: str, model: Any) -> dict[str, Any]:
    found = {}
    for folder in _folders(results, kind):
        try:
            found[folder.name] = TypeAdapter(model).validate_python((read_spec(folder) or {})[key])
        except (KeyError, ValidationError):  # a manifest of other code
            continue
    return found
