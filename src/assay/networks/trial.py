"""Whether a network can be built and called at all: found out before a job trains or imports it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from assay.files import AssayError
from assay.networks.classifier import build_classifier
from assay.networks.published_unet import build_published
from assay.networks.unet import build_network
from assay.networks.validation import check_logits
from assay.study.diffusions import Diffusion
from assay.study.networks import Network

COLOURS = 3
IMAGES = 2  # the fewest that a batch normalisation can be trained on


def trial(described: Mapping[str, Any]) -> str:
    """What keeps a network that `assay.planning.trials` describes from its images; empty if nothing does.

    It is tried on shapes alone, without weights and without computing; where that fails, in earnest, because some
    networks look at numbers.
    """
    with torch.device("meta"):
        fault = _fault(described)
    return fault and _fault(described)


def _fault(described: Mapping[str, Any]) -> str:
    try:
        TRIED[described["kind"]](described)
    except AssayError as error:
        return str(error).removeprefix("classifiers: ")  # the config's key comes before it
    return ""


def _classifier(described: Mapping[str, Any]) -> None:
    """Logits of two images; of a network that is to be trained, as training calls it too."""
    network = Network.model_validate(described["network"])
    model = build_classifier(network, described["classes"])
    images = torch.zeros(IMAGES, COLOURS, described["side"], described["side"])
    for training in (False, True) if described["trained"] else (False,):
        check_logits(model.train(training), images, described["classes"], network.network)


def _diffusion(described: Mapping[str, Any]) -> None:
    """What a diffusion predicts of an image, as large as the image."""
    side = described["side"]
    try:
        network = build_network(Diffusion.model_validate(described["network"]), side)
        shape = _predicted(network, side)
    except AssayError:
        raise
    except Exception as error:  # whatever a U-Net does with sizes that it is not made for
        fault = " ".join(str(error).split())
        raise AssayError(f"no U-Net of these keys takes images of {side} pixels ({fault}); change them") from None
    if shape != (IMAGES, COLOURS, side, side):
        raise AssayError(f"a U-Net of these keys gives images of another size, {shape[-1]} for {side}; change them")


def _published_diffusion(described: Mapping[str, Any]) -> None:
    """A U-Net of a config.json; how images of another size come to it is the import's affair."""
    build_published(described["config"], described["place"])


def _predicted(network: nn.Module, side: int) -> tuple[int, ...]:
    with torch.inference_mode():
        found: Tensor = network(torch.zeros(IMAGES, COLOURS, side, side), torch.zeros(IMAGES)).sample
    return tuple(found.shape)


TRIED: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "classifier": _classifier,
    "diffusion": _diffusion,
    "published diffusion": _published_diffusion,
}
