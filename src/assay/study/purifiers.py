"""The config's models of purifiers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from assay.study.fields import Brought, Level, Model, Name, PositiveInt
from assay.study.needs import Need, Needs


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

    @property
    def implementation(self) -> str:
        """The module that builds it."""
        return f"assay.purifiers.{self.method}"

    def at(self, sigma: Level) -> Purifier:
        """This purifier at one sigma."""
        return self.model_copy(update={"sigmas": [sigma]})


class NoisePurifier(Purifier):
    """The forward noise alone: the paper's NoiseDefense."""

    method: Literal["noise"] = Field(description="Add noise of level sigma and stop there.")


class DiffusionPurifier(Purifier):
    """What every purifier has that denoises."""

    diffusion: Name = Field(description="The diffusion that denoises.")

    @property
    def needs(self) -> Needs:
        return {"diffusion": Need("diffusion", self.diffusion)}


class OneshotPurifier(DiffusionPurifier):
    """One call of the denoiser: diffusion denoised smoothing's purifier (Carlini et al. 2023)."""

    method: Literal["oneshot"] = Field(
        description="Add noise of level sigma; the denoiser's one estimate is the image."
    )


class DdpmPurifier(DiffusionPurifier):
    """Posterior sampling (Ho et al. 2020)."""

    method: Literal["ddpm"] = Field(description="Add noise of level sigma; sample the posterior down to zero.")
    steps: PositiveInt | None = Field(None, description="Denoiser calls; every time step of the schedule if absent.")


class DdimPurifier(DiffusionPurifier):
    """Deterministic sampling (Song et al. 2021)."""

    method: Literal["ddim"] = Field(description="Add noise of level sigma; go down without new noise.")
    steps: PositiveInt | None = Field(None, description="Denoiser calls; every time step of the schedule if absent.")


class PythonPurifier(Brought, Purifier, extra="allow"):
    """A purifier of your own: a module with `build(spec, inputs)`, which returns `purify(x, noise)`."""

    method: Literal["python"] = Field(description="A module of your own, see README.md.")
    backward: bool = Field(
        True,
        description="The gradient is that of the purifier's values; `false` declares a deliberate stand-in, which is "
        "judged by what attacks leave, and not by finite differences.",
    )


AnyPurifier = Annotated[
    NoisePurifier | OneshotPurifier | DdpmPurifier | DdimPurifier | PythonPurifier,
    Field(discriminator="method"),
]


class PurifySpec(Model):
    """What purify reads: the purifier has the one sigma of the job."""

    purifier: AnyPurifier
    draws: PositiveInt
    batch_size: PositiveInt
    seed: int
