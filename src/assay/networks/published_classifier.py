"""Published classifiers in the layouts that we read: what network, which weights, of how many classes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from assay.files import AssayError
from assay.networks.classifier import build_classifier
from assay.networks.published import Source, State, read_pinned
from assay.networks.robustbench import from_robustbench
from assay.planning.published import CLASSIFIER_WEIGHTS, CONFIG, check_head, one_file, read_timm_config
from assay.study.classifiers import PublishedClassifier, PythonClassifier
from assay.study.networks import AnyNetwork, Colours, Network
from assay.study.preprocessing import Preprocessing

LINEAR = 2  # dimensions of a linear layer's weight
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
# What DeepMind's networks in RobustBench normalise by, of CIFAR-10 and CIFAR-100.
CIFAR = {
    10: {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2471, 0.2435, 0.2616)},
    100: {"mean": (0.5071, 0.4865, 0.4409), "std": (0.2673, 0.2564, 0.2762)},
}
HALVES = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
BLUE_FIRST = [2, 1, 0]
# The parts of a denoising block by TREMBA's names, after the number that such a block has in its stage.
DENOISING = re.compile(r"(layer\d)\.(\d+)\.(denoise\.)?(conv_theta|conv_phi|conv|bn)\.(\w+)")
OURS = {"conv_theta": "theta", "conv_phi": "phi", "conv": "projection", "bn": "norm"}


@dataclass(frozen=True)
class Published:
    """A classifier as it was published: network, weights and their file's hash.

    The number of classes, the image size (pixels) and how files became images are None where nothing tells them.
    """

    network: AnyNetwork
    classes: int | None
    state: State
    sha256: str
    side: int | None = None
    preprocessing: Preprocessing | None = None


def read_published(published: PublishedClassifier | PythonClassifier, source: Source) -> Published:
    """The published classifier of a config's keys."""
    if isinstance(published, PythonClassifier):
        state, found = read_pinned(source, published.sha256, source.named_file or CLASSIFIER_WEIGHTS)
        return Published(published, None, state, found)
    return READERS[published.layout](published, source)


def _read_timm(published: PublishedClassifier, source: Source) -> Published:
    """timm's layout for the hub: the state dict of its network beside what it was built from."""
    told = read_timm_config(source.require(CONFIG), published)
    colours = {key: getattr(told.pretrained_cfg, key) for key in ("mean", "std")}
    state, found = read_pinned(source, published.sha256, source.named_file or CLASSIFIER_WEIGHTS)
    described = _network(published, told.network, told.model_args or {}, colours)
    pretrained = told.pretrained_cfg
    return Published(described, told.classes, state, found, pretrained.side, pretrained.preprocessing)


def _read_tiatoolbox(published: PublishedClassifier, source: Source) -> Published:
    """The state dict of TIAToolbox's CNNModel."""
    check_head(published)
    state, found = _read_one_file(published, source)
    head = state.get("classifier.weight")
    if head is None or head.ndim != LINEAR or not any(name.startswith("feat_extract.") for name in state):
        raise AssayError(
            f"{source.published}: no TIAToolbox CNNModel (it has feat_extract.*, classifier.*); check layout"
        )
    network = _network(published, published.network, published.arguments, PLAIN)
    return Published(network, len(head), from_tiatoolbox(state, network), found)


def _read_torchvision(published: PublishedClassifier, source: Source) -> Published:
    """The state dict of torchvision's network of that name."""
    state, found = _read_one_file(published, source)
    network = _network(published, published.network, published.arguments, IMAGENET)
    return Published(network, _outputs(source, state), state, found)


def _read_robustbench(published: PublishedClassifier, source: Source) -> Published:
    """RobustBench's state dict of a wide residual network."""
    state, found = _read_one_file(published, source)
    state, own = from_robustbench(state)
    classes = _outputs(source, state)
    usual = CIFAR.get(classes) if published.network.endswith("_swish") else PLAIN
    if usual is None and None in (published.mean, published.std):
        raise AssayError(f"{source.published}: tells {classes} classes apart, so not CIFAR's; give mean and std")
    return Published(_network(published, published.network, {}, {**(usual or {}), **own}), classes, state, found)


def _read_one_file(published: PublishedClassifier, source: Source) -> tuple[State, str]:
    """The state dict of a layout that is of one file, which must be named."""
    if source.named_file is None:
        raise AssayError(
            f"{source.published}: layout {published.layout} is of one file; name it, such as {one_file(published)}"
        )
    return read_pinned(source, published.sha256, source.named_file)


def _outputs(source: Source, state: State) -> int:
    """The number of classes of a state dict whose last layer is linear."""
    weights = [value for name, value in state.items() if name.endswith(".weight") and value.ndim == LINEAR]
    if not weights:
        raise AssayError(f"{source.published}: has no linear layer, as a classifier's state dict has; check layout")
    return len(weights[-1])


def _read_feature_denoising(published: PublishedClassifier, source: Source) -> Published:
    """The state dict of one of Xie et al.'s networks, converted from TensorFlow to PyTorch by TREMBA."""
    state, found = _read_one_file(published, source)
    head, stem = (state.get(f"{layer}.weight") for layer in ("fc", "conv1"))
    if head is None or head.ndim != LINEAR or stem is None or stem.shape[1:2] != (len(BLUE_FIRST),):
        raise AssayError(f"{source.published}: no ResNet as TREMBA has it (conv1, layer1.*, fc); check layout")
    network = _network(published, published.network, published.arguments, HALVES)
    return Published(network, len(head), from_feature_denoising(state), found)


def from_feature_denoising(state: State) -> State:
    """TREMBA's state dict under torchvision's names, for images whose first channel is red.

    TREMBA's networks take blue first. A denoising block is the last entry of its stage there, or stands inside the
    residual block that it follows; here it is always the `denoise` of that block.
    """
    renamed = {}
    for name, value in state.items():
        if block := DENOISING.fullmatch(name):
            stage, number, inside, part, of = block.groups()
            own = int(number) if inside else int(number) - 1
            name = f"{stage}.{own}.denoise.{OURS[part]}.{of}"
        renamed[name] = value
    return renamed | {"conv1.weight": state["conv1.weight"][:, BLUE_FIRST]}


def from_tiatoolbox(state: State, network: Network) -> State:
    """A CNNModel's state dict under the names that torchvision gives the same layers.

    `feat_extract` holds the children of torchvision's network by number, or those of its `features` by name; the
    `classifier` is its last layer. A name that has no counterpart is kept, to be found left over.
    """
    import torch

    with torch.device("meta"):
        whole = build_classifier(network, classes=2).network
    children = {str(index): name for index, (name, _) in enumerate(whole.named_children())}
    last = [name.removesuffix(".weight") for name in whole.state_dict() if name.endswith(".weight")][-1]
    renamed = {}
    for name, value in state.items():
        part, _, rest = name.partition(".")
        if part == "classifier":
            name = f"{last}.{rest}"
        elif part == "feat_extract" and "features" in children.values():
            name = f"features.{rest}"
        elif part == "feat_extract":
            index, _, inner = rest.partition(".")
            name = f"{children.get(index, name)}.{inner}"
        renamed[name] = value
    return renamed


def _network(
    published: PublishedClassifier, network: str, arguments: dict[str, Any], colours: dict[str, Colours]
) -> Network:
    """The network for images in [0,1]: (low + width x - mean) / std is (x - (mean - low) / width) / (std / width).

    `colours` are the mean and the standard deviation by channel that hold if the config gives no others.
    """
    colours = {key: getattr(published, key) or colours[key] for key in ("mean", "std")}
    low, high = published.data_range
    width = high - low
    return Network(
        network=network,
        arguments=arguments,
        input_size=published.input_size,
        mean=tuple((value - low) / width for value in colours["mean"]),
        std=tuple(value / width for value in colours["std"]),
        same_padding=published.same_padding,
        denoise=published.denoise,
    )


READERS = {
    "timm": _read_timm,
    "tiatoolbox": _read_tiatoolbox,
    "torchvision": _read_torchvision,
    "robustbench": _read_robustbench,
    "feature_denoising": _read_feature_denoising,
}
