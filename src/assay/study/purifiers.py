"""The config's models of purifiers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from assay.study.fields import Brought, Level, Model, Name, Number, PositiveInt
from assay.study.needs import Need, Needs


class Purifier(Model):
    """What every purifier has.

    - `identity_at_zero`: without noise, at sigma 0, it gives images back as they are, and is no defence.
    - `backward`: its gradient is that of its values, so that finite differences may judge it; else it is a stand-in,
      which is judged by what attacks leave.
    """

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


class KnownPurifier(Purifier):
    """A purifier whose module is the library's."""

    identity_at_zero: ClassVar[bool] = True
    backward: ClassVar[bool] = True

    @property
    def pixel_work(self) -> float:
        """What it computes for a pixel without a network, in draws of a pixel's noise."""
        return 1.0


class NoisePurifier(KnownPurifier):
    """The forward noise alone: the paper's NoiseDefense."""

    method: Literal["noise"] = Field(description="Add noise of level sigma and stop there.")


class ControlPurifier(KnownPurifier):
    """What every cheap control has: a filter or a codec, with or without noise before it."""

    identity_at_zero = False

    sigmas: list[Level] = Field(
        [0.0], min_length=1, description="Levels of the noise that is added before it, in pixel units; 0 adds none."
    )


class JpegPurifier(ControlPurifier):
    """JPEG compression (Guo et al. 2018); attacks follow the gradient of a differentiable JPEG."""

    backward = False

    method: Literal["jpeg"] = Field(description="Write the image as a JPEG file and read it again.")
    quality: int = Field(75, ge=1, le=100, description="Quality of the JPEG file.")

    @property
    def pixel_work(self) -> float:
        return 2.0


def check_odd(value: int) -> int:
    """A side that has a middle."""
    if value % 2 == 0:
        raise ValueError(f"{value} is even, and a window has a pixel in its middle; write an odd number")
    return value


Window = Annotated[int, Field(ge=1, le=63), AfterValidator(check_odd)]


class MedianPurifier(ControlPurifier):
    """The median filter, of each colour by itself."""

    method: Literal["median"] = Field(description="Each value becomes the median of those around it.")
    window: Window = Field(3, description="Side of the window in pixels, an odd number.")

    @property
    def margin(self) -> int:
        """How far the window reaches beyond its pixel."""
        return self.window // 2

    @property
    def pixel_work(self) -> float:
        return self.window**2 / 2


class NonlocalMeansPurifier(ControlPurifier):
    """Non-local means (Buades et al. 2005)."""

    method: Literal["nonlocal_means"] = Field(
        description="Each pixel becomes the mean of those around it, weighted by how alike their patches are."
    )
    strength: Number = Field(
        0.1, gt=0, le=10, description="How far patches may differ beyond the noise to count as alike, in pixel units."
    )
    patch: Window = Field(5, description="Side of a patch in pixels, an odd number.")
    window: Window = Field(11, description="Side of the window that is averaged over, in pixels, an odd number.")

    @property
    def margin(self) -> int:
        """How far the window and the patches in it reach beyond a pixel."""
        return self.window // 2 + self.patch // 2

    @property
    def pixel_work(self) -> float:
        return self.window**2 / 3


class DiffusionPurifier(KnownPurifier):
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
    identity_at_zero: bool = Field(
        True, description="At sigma 0 it gives images back as they are; `false` for a defence that needs no noise."
    )
    backward: bool = Field(
        True,
        description="The gradient is that of the purifier's values; `false` declares a deliberate stand-in, which is "
        "judged by what attacks leave, and not by finite differences.",
    )


AnyPurifier = Annotated[
    NoisePurifier
    | JpegPurifier
    | MedianPurifier
    | NonlocalMeansPurifier
    | OneshotPurifier
    | DdpmPurifier
    | DdimPurifier
    | PythonPurifier,
    Field(discriminator="method"),
]


class PurifySpec(Model):
    """What purify reads: the purifier has the one sigma of the job."""

    purifier: AnyPurifier
    draws: PositiveInt
    batch_size: PositiveInt
    seed: int
