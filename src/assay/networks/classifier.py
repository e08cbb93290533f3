"""The classifier's network: any of timm's or torchvision's, or our own, by name, with its normalisation inside."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from assay import modules
from assay.artifacts import Draft
from assay.files import AssayError
from assay.manifests import check
from assay.networks.blocks.placement import add_blocks
from assay.networks.divergence import require_weights
from assay.networks.libraries import import_library
from assay.networks.resize import resize
from assay.networks.same_padding import pad_as_tensorflow
from assay.networks.wide_resnet import wide_resnet
from assay.study.networks import AnyNetwork, Network, PythonNetwork

WEIGHTS = "model.safetensors"
LIBRARIES = ("torch", "torchvision", "timm", "safetensors")


class Normalised(nn.Module):
    """Images in [0,1] (n, 3, h, w) to plain logits (n, classes): resizing if need be, normalisation, the network."""

    def __init__(
        self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], input_size: int | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.input_size = input_size
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.input_size:
            x = resize(x, (self.input_size, self.input_size))
        return self.network((x - self.mean) / self.std)


def build(described: Network, classes: int) -> Normalised:
    """A new network by its name; initial weights come from torch's global generator."""
    library, name = described.network.split("/", 1)
    try:
        if library == "timm":
            network = import_library("timm").create_model(
                name, pretrained=False, num_classes=classes, **described.arguments
            )
        elif library == "assay":
            network = wide_resnet(name, classes, **described.arguments)
        else:
            network = import_library("torchvision").models.get_model(
                name, weights=None, num_classes=classes, **described.arguments
            )
    except Exception as error:  # whatever a constructor does with arguments that mean nothing to it
        raise AssayError(
            f"classifiers: network {described.network} cannot be built ({' '.join(str(error).split())}); "
            f"check its name and arguments"
        ) from None
    if described.small_stem:
        _make_stem_small(network, described.network)
    if described.same_padding:
        pad_as_tensorflow(network)
    if described.denoise:
        add_blocks(network, described.denoise, described.network)  # last: the network's own weights stay as they were
    model = Normalised(network, described.mean, described.std, described.input_size)
    return model.to(memory_format=torch.channels_last)  # up to twice as fast as the default, on CPU too


def build_classifier(described: AnyNetwork, classes: int) -> nn.Module:
    """A new classifier, images in [0,1] (n, 3, h, w) to logits (n, classes): by name, or of a user's module."""
    return modules.build(described, classes)


def name_of(described: AnyNetwork) -> str:
    """What a network is called in messages: `timm/resnet18`, or the path of a user's module."""
    return described.module if isinstance(described, PythonNetwork) else described.network


def write_classifier(draft: Draft, model: nn.Module, described: AnyNetwork, classes: list[str]) -> None:
    """Write a classifier's weights into its artifact, and what `load_classifier` builds it from into the manifest."""
    brought = isinstance(described, PythonNetwork)
    keys = {*PythonNetwork.model_fields, *described.model_extra} if brought else set(Network.model_fields)
    draft.facts |= {
        "network": described.model_dump(mode="json", include=keys),
        "classes": classes,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    save_file({name: value.cpu().contiguous() for name, value in model.state_dict().items()}, draft.path(WEIGHTS))


def load_classifier(folder: Path, device: torch.device) -> nn.Module:
    """The classifier of a folder, trained or published, frozen and in evaluation mode."""
    require_weights(folder)
    facts = check(folder, "classifier")["facts"]
    kind = PythonNetwork if "module" in facts["network"] else Network
    model = build_classifier(kind.model_validate(facts["network"]), len(facts["classes"]))
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
