"""The config's models of purifiers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from assay.study.fields import Level, Model, Name, PositiveInt


class Purifier(Model):
    """What every purifier has."""

    sigmas: list[Level] = Field(
        min_length=1,
        description="Noise levels, in pixel units (images in [0,1]); `selected` is the one that `selection` chooses.",
    )

    @property
    def sigma(self) -> float:
        """The one sigma of a job's spec."""
        (sigma,) = self.sigmas
        return sigma

    def at(self, sigma: Level) -> Purifier:
        """This purifier at one sigma."""
        return self.model_copy(update={"sigmas": [sigma]})


class NoisePurifier(Purifier):
    """The forward noise alone: the paper's NoiseDefense."""

    method: Literal["noise"] = Field(description="Add noise of level sigma and stop there.")


class OneshotPurifier(Purifier):
    """One call of the denoiser: diffusion denoised smoothing's purifier (Carlini et al. 2023)."""

    method: Literal["oneshot"] = Field(
        description="Add noise of level sigma; the denoiser's one estimate is the image."
    )
    diffusion: Name = Field(description="The diffusion that denoises.")


class DdpmPurifier(Purifier):
    """Posterior sampling (Ho et al. 2020)."""

    method: Literal["ddpm"] = Field(description="Add noise of level sigma; sample the posterior down to zero.")
    diffusion: Name = Field(description="The diffusion that denoises.")
    steps: PositiveInt | None = Field(None, description="Denoiser calls; every time step of the schedule if absent.")


class DdimPurifier(Purifier):
    """Deterministic sampling (Song et al. 2021)."""

    method: Literal["ddim"] = Field(description="Add noise of level sigma; go down without new noise.")
    diffusion: Name = Field(description="The diffusion that denoises.")
    steps: PositiveInt | None = Field(None, description="Denoiser calls; every time step of the schedule if absent.")


AnyPurifier = Annotated[
    NoisePurifier | OneshotPurifier | DdpmPurifier | DdimPurifier,
    Field(discriminator="method"),
]


class PurifySpec(Model):
    """What purify reads: the purifier has the one sigma of the job."""

    purifier: AnyPurifier
    draws: PositiveInt
    batch_size: PositiveInt
    seed: int
