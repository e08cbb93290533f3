"""The config's models of classifiers' networks: all that whoever loads a classifier must know."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from assay.study.fields import Brought, Model

NetworkName = Annotated[str, StringConstraints(pattern=r"^(timm|torchvision)/[A-Za-z0-9_.-]+$")]
Colours = tuple[float, float, float]


class Network(Model):
    """All that a classifier's module is built from, but for the number of classes."""

    network: NetworkName = Field(description="`timm/NAME` or `torchvision/NAME`: any network of either library.")
    arguments: dict[str, Any] = Field({}, description="Further arguments of the network's constructor.")
    small_stem: bool = Field(
        False, description="For small images: the first convolution at full resolution, without pooling."
    )
    mean: Colours = Field(
        (0.5, 0.5, 0.5), description="Normalisation inside the module: mean by channel, for images in [0,1]."
    )
    std: Colours = Field((0.5, 0.5, 0.5), description="Normalisation inside the module: standard deviation by channel.")

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
