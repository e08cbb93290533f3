"""The config's models of classifiers' networks: all that whoever loads a classifier must know."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from assay.study.blocks import Denoise
from assay.study.fields import PATTERNS, Arguments, Brought, Model, is_unused

NETWORK_PATTERN = r"^((timm|torchvision)/[A-Za-z0-9_][A-Za-z0-9_.-]*|assay/wide_resnet_\d{1,3}_\d{1,3}(_swish)?)$"
PATTERNS[NETWORK_PATTERN] = (
    "does not name a network; write timm/NAME, torchvision/NAME or assay/wide_resnet_DEPTH_WIDTH, such as "
    "assay/wide_resnet_28_10"
)


def check_depth(name: str) -> str:
    """Of a wide residual network the depth is 6 n + 4 and neither n nor the width is 0."""
    if name.startswith("assay/"):
        depth, width = map(int, re.findall(r"\d+", name))
        if depth < 10 or depth % 6 != 4 or width < 1:
            raise ValueError(f"{name!r} has no depth of 10, 16, 22, 28, … or no width; write assay/wide_resnet_28_10")
    return name


NetworkName = Annotated[str, StringConstraints(pattern=NETWORK_PATTERN, max_length=200), AfterValidator(check_depth)]
InputSize = Annotated[int, Field(ge=16, le=1024)]
INPUT_SIZE = (
    "Side in pixels that images are resized to inside the module (bicubic, with a gradient), where the network takes "
    "another size than the data set has; as they are if absent."
)
Colour = Annotated[float, Field(ge=-1000, le=1000)]
Deviation = Annotated[float, Field(ge=1e-9, le=1000)]
PublishedDeviation = Annotated[float, Field(ge=1e-6, le=1000)]  # it is halved where data_range is twice as wide
Colours = tuple[Colour, Colour, Colour]
Deviations = tuple[Deviation, Deviation, Deviation]
PublishedDeviations = tuple[PublishedDeviation, PublishedDeviation, PublishedDeviation]
DENOISE = "Denoising blocks inside a residual network, with keys of their own; none if absent."


SAME_PADDING = (
    "Pad as TensorFlow's SAME does, the odd line at the end, where a layer takes every second place: for weights that "
    "were trained there."
)


class Network(Model):
    """All that a classifier's module is built from, but for the number of classes."""

    network: NetworkName = Field(
        description="`timm/NAME` or `torchvision/NAME`: any network of either library; or `assay/wide_resnet_28_10`, a "
        "wide residual network for small images by depth and width (`…_swish` for DeepMind's edition)."
    )
    arguments: Arguments = Field({}, description="Further arguments of the network's constructor.")
    small_stem: bool = Field(
        False, description="For small images: the first convolution at full resolution, without pooling."
    )
    input_size: InputSize | None = Field(None, exclude_if=lambda value: value is None, description=INPUT_SIZE)
    mean: Colours = Field(
        (0.5, 0.5, 0.5), description="Normalisation inside the module: mean by channel, for images in [0,1]."
    )
    std: Deviations = Field(
        (0.5, 0.5, 0.5), description="Normalisation inside the module: standard deviation by channel."
    )
    same_padding: bool = Field(False, exclude_if=is_unused, description=SAME_PADDING)
    denoise: Denoise | None = Field(None, exclude_if=is_unused, description=DENOISE)

    @property
    def implementation(self) -> str:
        """The module that builds it."""
        return "assay.networks.classifier"


class PythonNetwork(Brought):
    """A network of your own: a module with `build(spec, classes)`, which returns a `torch.nn.Module`.

    It takes images in [0,1] (n, 3, h, w) to logits (n, classes); normalisation is its own affair.
    """

    method: Literal["python"] = Field(description="A module of your own, see README.md.")


AnyNetwork = Network | PythonNetwork
