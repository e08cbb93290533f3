"""The config's models of purifiers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from assay.study.energies import AnyEnergy, DistanceEnergy
from assay.study.fields import Brought, Level, Model, Name, Number, PositiveInt
from assay.study.needs import Need, Needs

STEP_WITH_GRADIENT = 2  # calls that a step costs which differentiates the denoiser, in calls without
Share = Annotated[float, Field(gt=0, le=1)]


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

    votes: PositiveInt = Field(
        1,
        le=10_000,
        exclude_if=lambda votes: votes == 1,
        description="Draws whose majority is the defended classifier's answer, as one draw of `evaluation.draws`.",
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

    @property
    def implementations(self) -> tuple[str, ...]:
        """The modules that it is built of and found by name."""
        return (self.implementation,)

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
    """What every purifier has that denoises.

    It denoises up to `reach` times its sigma; `predicts` is what its diffusion must predict, None for anything.
    """

    reach: ClassVar[float] = 1.0
    predicts: ClassVar[str | None] = None

    diffusion: Name = Field(description="The diffusion that denoises.")

    @property
    def needs(self) -> Needs:
        return {"diffusion": Need("diffusion", self.diffusion)}

    def calls(self, steps_down: Callable[[float], int], sigma: float) -> int:
        """How often the denoiser is called for an image and a draw; `steps_down` counts the schedule's time steps."""
        return steps_down(sigma) if self.steps is None else self.steps


class OneshotPurifier(DiffusionPurifier):
    """One call of the denoiser: diffusion denoised smoothing's purifier (Carlini et al. 2023)."""

    method: Literal["oneshot"] = Field(
        description="Add noise of level sigma; the denoiser's one estimate is the image."
    )

    def calls(self, steps_down: Callable[[float], int], sigma: float) -> int:
        return 1


class SampledPurifier(DiffusionPurifier):
    """What every purifier has that goes down from sigma by a sampler."""

    steps: PositiveInt | None = Field(None, description="Denoiser calls; every time step of the schedule if absent.")


class DdpmPurifier(SampledPurifier):
    """Posterior sampling (Ho et al. 2020)."""

    method: Literal["ddpm"] = Field(description="Add noise of level sigma; sample the posterior down to zero.")


class DdimPurifier(SampledPurifier):
    """Deterministic sampling (Song et al. 2021)."""

    method: Literal["ddim"] = Field(description="Add noise of level sigma; go down without new noise.")


class SdePurifier(SampledPurifier):
    """DiffPure's reverse SDE (Nie et al. 2022)."""

    method: Literal["sde"] = Field(
        description="Add noise of level sigma; solve the reverse variance-preserving SDE by Euler-Maruyama."
    )


class OdePurifier(SampledPurifier):
    """The probability flow of DiffPure's SDE (Song et al. 2021b)."""

    method: Literal["ode"] = Field(description="Add noise of level sigma; solve the probability flow by Euler steps.")


class FlowPurifier(DiffusionPurifier):
    """FlowPure's Gaussian variant (Collaert et al. 2025), for a diffusion of `prediction: flow`."""

    predicts = "flow"

    method: Literal["flow"] = Field(description="Add noise of level sigma; follow the flow by Euler steps.")
    steps: PositiveInt = Field(9, description="Denoiser calls.")


class BridgePurifier(DiffusionPurifier):
    """ADBM's sampler (Li et al. 2025), for a diffusion of the objective `adbm`."""

    method: Literal["bridge"] = Field(
        description="Add noise of level sigma; follow the bridge from adversarial images to clean ones."
    )
    steps: PositiveInt = Field(5, description="Denoiser calls.")
    new_noise: bool = Field(
        False,
        description="Add new noise at each step, which keeps to the bridge's law; if not, DDIM as published.",
    )


class GradualPurifier(DiffusionPurifier):
    """Gradual noising (Lee and Kim 2023)."""

    method: Literal["gradual"] = Field(
        description="Noise a little and sample the posterior, again and again, with more noise towards the end."
    )
    schedule: list[tuple[Share, PositiveInt]] = Field(
        [(0.254, 4), (0.405, 2), (1.0, 2)],
        min_length=1,
        description="The rounds: their noise as a share of sigma, and how many of them. The default is the published "
        "30 × 4, 50 × 2 and 125 × 2 time steps where sigma is 0.213.",
    )
    steps: PositiveInt | None = Field(
        None, description="Denoiser calls of each round; every time step of the schedule if absent."
    )

    def rounds(self, sigma: float) -> list[float]:
        """The level of each round's noise."""
        return [share * sigma for share, times in self.schedule for _ in range(times)]

    def calls(self, steps_down: Callable[[float], int], sigma: float) -> int:
        return sum(super(GradualPurifier, self).calls(steps_down, level) for level in self.rounds(sigma))


class GuidedPurifier(SampledPurifier):
    """A guided reverse process (GDMP, Wang et al. 2022)."""

    method: Literal["guided"] = Field(
        description="Add noise of level sigma; sample the posterior, each step led down an energy."
    )
    energy: AnyEnergy = Field(DistanceEnergy(method="distance"), description="What leads it.")
    rounds: PositiveInt = Field(4, le=100, description="How often all of this is done, one after the other.")

    @property
    def implementations(self) -> tuple[str, ...]:
        return (self.implementation, self.energy.implementation)

    @property
    def needs(self) -> Needs:
        return super().needs | self.energy.needs

    def calls(self, steps_down: Callable[[float], int], sigma: float) -> int:
        return self.rounds * super().calls(steps_down, sigma)


class LikelihoodPurifier(DiffusionPurifier):
    """Likelihood maximisation (Chen et al. 2024)."""

    reach = 1.2

    method: Literal["likelihood"] = Field(
        description="Move the image to where a denoiser changes it least, under noise of about level sigma."
    )
    steps: int = Field(5, gt=0, le=1000, description="Steps of Adam.")
    step_size: Number = Field(0.05, gt=0, le=1, description="Adam's learning rate, in pixel units.")

    def calls(self, steps_down: Callable[[float], int], sigma: float) -> int:
        return STEP_WITH_GRADIENT * self.steps


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
    | SdePurifier
    | OdePurifier
    | FlowPurifier
    | BridgePurifier
    | GradualPurifier
    | GuidedPurifier
    | LikelihoodPurifier
    | PythonPurifier,
    Field(discriminator="method"),
]


class PurifySpec(Model):
    """What purify reads: the purifier has the one sigma of the job."""

    purifier: AnyPurifier
    draws: PositiveInt
    batch_size: PositiveInt
    seed: int
