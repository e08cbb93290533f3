"""The config's models of energies, which guide a reverse process."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from assay.study.fields import Model, Name, Number
from assay.study.needs import Need, Needs


class Energy(Model):
    """What every energy has."""

    @property
    def implementation(self) -> str:
        """The module that builds it."""
        return f"assay.purifiers.energies.{self.method}"


class DistanceEnergy(Energy):
    """GDMP's (Wang et al. 2022): each image's mean squared distance from the input, noised afresh to the same level."""

    method: Literal["distance"] = Field(description="Stay near the input, noised to the same level.")
    scale: float = Field(6e4, ge=0, le=1e9, description="Strength of the guidance; 0 for none.")
    perturbation: Number = Field(
        8 / 255, gt=0, le=1, description="Size of the perturbation that is expected, in pixel units; less guides more."
    )


class ClassifierEnergy(Energy):
    """AGDM's (Lin et al. 2025): an auxiliary classifier keeps its answer to the input; the weights are our choice."""

    method: Literal["classifier"] = Field(description="Keep the answer of a classifier that knows noisy images.")
    guide: Name = Field(description="The classifier, of the objective `guide`.")
    scale: float = Field(10.0, ge=0, le=1e9, description="Strength of the guidance; 0 for none.")
    label_weight: float = Field(
        1.0, ge=0, le=1e6, description="Weight of the likelihood of the class that it sees in the input."
    )

    @property
    def needs(self) -> Needs:
        return {"energy": Need("classifier", self.guide)}


AnyEnergy = Annotated[DistanceEnergy | ClassifierEnergy, Field(discriminator="method")]
