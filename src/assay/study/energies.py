"""The config's models of energies, which guide a reverse process."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from assay.study.fields import Model, Number


class Energy(Model):
    """What every energy has."""

    @property
    def implementation(self) -> str:
        """The module that builds it."""
        return f"assay.purifiers.energies.{self.method}"


class DistanceEnergy(Energy):
    """GDMP's (Wang et al. 2022): the mean squared distance from the input with fresh noise of the same level, of each
    image by itself."""

    method: Literal["distance"] = Field(description="Stay near the input, noised to the same level.")
    scale: float = Field(6e4, ge=0, le=1e9, description="Strength of the guidance; 0 for none.")
    perturbation: Number = Field(
        8 / 255, gt=0, le=1, description="Size of the perturbation that is expected, in pixel units; less guides more."
    )


AnyEnergy = DistanceEnergy
