"""Published classifiers in the layouts that we read: what network, which weights, of how many classes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from assay.files import AssayError, read_json
from assay.networks.classifier import WEIGHTS, build_classifier
from assay.networks.published import Source, State, read_pinned
from assay.study.classifiers import PublishedClassifier, PythonClassifier
from assay.study.networks import AnyNetwork, Colours, Network

CONFIG = "config.json"
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}

# TIAToolbox's CNNModel is torchvision's network with its head cut off, pooling, and one linear layer. These are the
# networks whose own head is just that; the others' heads differ (DenseNet has a ReLU before it), so that the same
# weights in torchvision's network would give other logits.
SAME_HEAD = re.compile(r"(resnet|resnext|wide_resnet)\w+|googlenet|mobilenet_v2")


@dataclass(frozen=True)
class Published:
    """A classifier as it was published: network, weights and their file's hash.

    The number of classes and the image size (pixels) are None where nothing tells them.
    """

    network: AnyNetwork
    classes: int | None
    state: State
    sha256: str
    side: int | None


def read_published(published: PublishedClassifier | PythonClassifier, source: Source) -> Published:
    """The published classifier of a config's keys."""
    if isinstance(published, PythonClassifier):
        state, found = read_pinned(source, published.sha256, source.named_file or WEIGHTS)
        return Published(published, None, state, found, None)
    return {"timm": _read_timm, "tiatoolbox": _read_tiatoolbox}[published.layout](published, source)


def _read_timm(published: PublishedClassifier, source: Source) -> Published:
    """timm's layout for the hub: the state dict of its network beside what it was built from."""
    place = source.require(CONFIG)
    config = read_json(place)
    try:
        network, told = f"timm/{config['architecture']}", config.get("pretrained_cfg", {})
        classes = config.get("num_classes") or told["num_classes"]
        colours = {key: getattr(published, key) or told[key] for key in ("mean", "std")}
    except (KeyError, TypeError, AttributeError) as error:
        raise AssayError(f"{place}: not a timm network's config ({error} is missing); check layout") from None
    if published.network not in (None, network):
        raise AssayError(f"{place}: is of {network}, the config's network is {published.network}; remove network")
    state, found = read_pinned(source, published.sha256, source.named_file or WEIGHTS)
    described = _network(published, network, config.get("model_args") or {}, colours)
    return Published(described, classes, state, found, (told.get("input_size") or [None])[-1])


def _read_tiatoolbox(published: PublishedClassifier, source: Source) -> Published:
    """The state dict of TIAToolbox's CNNModel."""
    backbone = published.network.removeprefix("torchvision/")
    if not SAME_HEAD.fullmatch(backbone):
        raise AssayError(
            f"network: layout tiatoolbox of torchvision/{backbone} is not read, since TIAToolbox's head is not "
            f"torchvision's there; choose a ResNet, ResNeXt, GoogLeNet or MobileNetV2"
        )
    if source.named_file is None:
        raise AssayError(f"{source.published}: layout tiatoolbox is of one file; name it, such as {backbone}-pcam.pth")
    state, found = read_pinned(source, published.sha256, source.named_file)
    if "classifier.weight" not in state or not any(name.startswith("feat_extract.") for name in state):
        raise AssayError(
            f"{source.published}: no TIAToolbox CNNModel (it has feat_extract.*, classifier.*); check layout"
        )
    colours = {key: getattr(published, key) or PLAIN[key] for key in PLAIN}
    network = _network(published, published.network, published.arguments, colours)
    classes = len(state["classifier.weight"])
    return Published(network, classes, from_tiatoolbox(state, network), found, None)


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
    """The network for images in [0,1]: (low + width x - mean) / std is (x - (mean - low) / width) / (std / width)."""
    low, high = published.data_range
    width = high - low
    return Network(
        network=network,
        arguments=arguments,
        mean=tuple((value - low) / width for value in colours["mean"]),
        std=tuple(value / width for value in colours["std"]),
    )
