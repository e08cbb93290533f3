"""The classifier's network: any timm or torchvision model by name, with its normalisation inside the module."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from assay.files import AssayError, check
from assay.libraries import import_library
from assay.study.classifiers import Classifier

WEIGHTS = "model.safetensors"


class Normalised(nn.Module):
    """Images in [0,1] (n, 3, h, w) to plain logits (n, classes): normalisation, then the network."""

    def __init__(self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.network((x - self.mean) / self.std)


def build_classifier(classifier: Classifier, classes: int) -> Normalised:
    """A new classifier; initial weights come from torch's global generator."""
    library, name = classifier.network.split("/", 1)
    try:
        if library == "timm":
            network = import_library("timm").create_model(
                name, pretrained=False, num_classes=classes, **classifier.arguments
            )
        else:
            network = import_library("torchvision").models.get_model(
                name, weights=None, num_classes=classes, **classifier.arguments
            )
    except (RuntimeError, ValueError, TypeError) as error:
        raise AssayError(
            f"classifiers: network {classifier.network} cannot be built ({' '.join(str(error).split())}); "
            f"check its name and arguments"
        ) from None
    if classifier.small_stem:
        _make_stem_small(network, classifier.network)
    model = Normalised(network, classifier.mean, classifier.std)
    return model.to(memory_format=torch.channels_last)  # up to twice as fast as the default, on CPU too


def load_classifier(folder: Path, device: torch.device) -> Normalised:
    """The classifier of a folder, frozen and in evaluation mode."""
    from safetensors.torch import load_file

    manifest = check(folder, "classifier")
    classifier = Classifier.model_validate(manifest["spec"]["classifier"])
    model = build_classifier(classifier, manifest["facts"]["classes"])
    model.load_state_dict(load_file(folder / WEIGHTS))
    return model.to(device).eval().requires_grad_(False)


def _make_stem_small(network: nn.Module, name: str) -> None:
    """Make the first convolution 3 by 3 at full resolution and drop the first pooling."""
    convolutions = [(path, module) for path, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    path, first = convolutions[0] if convolutions else ("", None)
    if first is None or first.in_channels != 3 or first.kernel_size == first.stride:
        raise AssayError(f"classifiers: network {name} has no convolutional stem to make small; set small_stem: false")
    _replace(network, path, nn.Conv2d(3, first.out_channels, 3, padding=1, bias=first.bias is not None))
    for path, module in network.named_modules():
        if isinstance(module, nn.MaxPool2d):
            _replace(network, path, nn.Identity())
            break


def _replace(network: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, module)
