"""The config's model of diffusions."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from assay.study.fields import Model, PositiveInt, Published, Revision, Sha256, Sigma, UnitRange, told_by
from assay.study.needs import Need, Needs
from assay.study.objectives import DenoisingObjective, DiffusionObjective
from assay.study.training import EMA_DECAY, Recipe

ScheduleKind = Literal["linear", "cosine", "flow"]
Prediction = Literal["epsilon", "v", "x0", "flow"]
MOST_TIME_STEPS = 4096  # the noise tells so many steps of a draw apart
THOUSANDTHS = 1000  # of a diffusion's whole time
NARROWEST_RANGE = 0.01
CHANGE = "differs_from_start"  # of a manifest: by how much estimates of clean images changed, in pixel units
HEAD_CHANNELS = 8  # of each head of self-attention
Channels = Annotated[int, Field(gt=0, le=2**14)]
Layers = Annotated[int, Field(gt=0, le=64)]
DataBound = Annotated[float, Field(ge=-1000, le=1000)]


class UNet(Model):
    """A diffusion's network, diffusers' UNet2DModel, and what it is used to."""

    channels: list[Channels] = Field(
        min_length=1, max_length=11, description="Channels of the U-Net by level, from full resolution down."
    )
    layers_per_block: Layers = Field(2, description="Residual layers a level.")
    attention_levels: list[int] = Field([], description="Levels (0 = full resolution) that have self-attention.")
    middle_attention: bool = Field(True, description="Self-attention in the middle of the U-Net.")
    norm_groups: PositiveInt = Field(32, description="Groups of each group normalisation; divides every channel count.")
    schedule: ScheduleKind = Field(
        "linear",
        description="Noise schedule: DDPM's `linear`, `cosine`, or `flow` (levels evenly spaced up to 0.3 in pixel "
        "units, 0.6 where data_range is [0, 1]).",
    )
    time_steps: int = Field(1000, gt=0, le=MOST_TIME_STEPS, description="Time steps of the noise schedule.")
    prediction: Prediction = Field(
        "epsilon",
        description="What the network predicts: the noise (`epsilon`), the clean image (`x0`), the velocity (`v`), or "
        "the velocity of the straight path from the noisiest image to the clean one (`flow`, flow matching).",
    )
    data_range: tuple[DataBound, DataBound] = Field(
        (-1.0, 1.0), description="Range that the network's images have; sigma and eps stay in pixel units all the same."
    )


class Diffusion(Recipe, UNet):
    """A denoising diffusion model (diffusers' UNet2DModel) and its training."""

    kind: ClassVar[str] = "trained"
    time_scale: ClassVar[float] = 1.0  # its network takes time steps as they are

    learning_rate: float = Field(1e-4, gt=0, description="Highest learning rate.")
    gradient_clip: float | None = Field(1.0, gt=0, description="Largest norm of a step's gradient; any if absent.")
    ema_decay: float | None = Field(0.999, ge=0, lt=1, description=EMA_DECAY)
    validate_every: PositiveInt | None = Field(100, description="Steps between two validations; an epoch if absent.")
    objective: DiffusionObjective = Field(
        DenoisingObjective(method="denoising"),
        description="What the training minimises: `{method: denoising, max_sigma: 0.3}`, with its keys.",
    )

    @property
    def max_sigma(self) -> Sigma | None:
        """The highest sigma that is trained; None if all of the schedule is."""
        return getattr(self.objective, "max_sigma", None)

    @property
    def needs(self) -> Needs:
        return self.objective.needs | ({"start": Need("diffusion", self.start)} if self.start else {})

    @model_validator(mode="after")
    def _consistent(self) -> Diffusion:
        if getattr(self.objective, "fine_tunes", False) and not self.start:
            raise ValueError(
                f"start: the objective {self.objective.method} goes on from a trained diffusion; name the one"
            )
        if any(channels % self.norm_groups for channels in self.channels):
            raise ValueError(
                f"channels: each of {self.channels} must be a multiple of norm_groups ({self.norm_groups})"
            )
        if self.data_range[1] - self.data_range[0] < NARROWEST_RANGE:
            raise ValueError(f"data_range: {list(self.data_range)} is not a range; write [-1, 1] or [0, 1]")
        if any(not 0 <= level < len(self.channels) for level in self.attention_levels):
            raise ValueError(f"attention_levels: {self.attention_levels} must lie in 0..{len(self.channels) - 1}")
        attended = [*self.attention_levels, *([len(self.channels) - 1] if self.middle_attention else [])]
        if any(self.channels[level] < HEAD_CHANNELS for level in attended):
            raise ValueError(
                f"channels: {self.channels} has fewer than {HEAD_CHANNELS} channels where there is self-attention; "
                "write more, or leave out attention_levels and set middle_attention: false"
            )
        return self


class PublishedDiffusion(Model):
    """A diffusion that was trained elsewhere: diffusers' (a DDPMPipeline or its U-Net alone) or OpenAI's."""

    kind: ClassVar[str] = "published"
    max_sigma: ClassVar[Sigma | None] = None

    published: Published = Field(
        description="Its files: a folder, or `hf-hub:OWNER/NAME`: a DDPMPipeline's (with `unet/` and `scheduler/`), or "
        "a U-Net's alone (config.json beside its weights); of `layout: openai` one file.",
    )
    layout: Literal["openai"] | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="`openai`: the state dict of an unconditional U-Net of improved-diffusion or guided-diffusion, "
        "such as `256x256_diffusion_uncond.pt`; diffusers' if absent.",
    )
    head_channels: PositiveInt | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="Of `layout: openai`: channels of each head of attention, which no file records; 64 if absent, as "
        "in `cifar10_uncond_50M_500K.pt` and `256x256_diffusion_uncond.pt`.",
    )
    image_size: int | None = Field(
        None,
        ge=8,
        le=1024,
        exclude_if=lambda value: value is None,
        description="Of `layout: openai`: pixels of the images that it was trained on. Images of another size are "
        "resized for it and back; it takes them as they are if absent.",
    )
    data_range: UnitRange = Field(
        description="Range of the images that it was trained on: `[-1, 1]` (the usual) or `[0, 1]`. "
        "Not recorded in any file."
    )
    schedule: ScheduleKind = Field(
        "linear", description="Noise schedule; must be the one of scheduler_config.json where there is such a file."
    )
    time_steps: int = Field(
        1000,
        gt=0,
        le=MOST_TIME_STEPS,
        description="Time steps of the noise schedule; must be as in scheduler_config.json where there is such a file.",
    )
    prediction: Prediction = Field(
        "epsilon",
        description="What the network predicts: the noise (`epsilon`), the clean image (`x0`) or the velocity (`v`); "
        "must be as in scheduler_config.json where there is such a file.",
    )
    revision: Revision | None = Field(None, description="Commit of the hub's repository; its newest if absent.")
    sha256: Sha256 | None = Field(None, description="SHA-256 of the weights file; any other file is refused.")
    channels: list[Channels] = Field(
        [128, 128, 256, 256, 512, 512],
        min_length=1,
        max_length=11,
        description="For planning only, as the next three: the U-Net's channels by level. The network is built from "
        "its own config.json; the defaults are those of `hf-hub:ankile/ddpm-pcam-96-flip`.",
    )
    layers_per_block: Layers = Field(2, description="For planning only: residual layers a level.")
    attention_levels: list[int] = Field([4], description="For planning only: levels that have self-attention.")
    middle_attention: bool = Field(True, description="For planning only: self-attention in the middle.")

    @property
    def time_scale(self) -> float:
        """What its network takes for a time step: OpenAI's count time in thousandths, however many steps there are."""
        return THOUSANDTHS / self.time_steps if self.layout == "openai" else 1.0

    @model_validator(mode="after")
    def _keys_of_the_layout(self) -> PublishedDiffusion:
        for key in ("head_channels", "image_size"):
            if self.layout is None and getattr(self, key) is not None:
                raise ValueError(f"{key}: is a key of layout openai; config.json tells it of diffusers'; remove it")
        return self


AnyDiffusion = Annotated[
    Annotated[Diffusion, Tag(Diffusion.kind)] | Annotated[PublishedDiffusion, Tag(PublishedDiffusion.kind)],
    Discriminator(told_by("published", PublishedDiffusion.kind, Diffusion.kind)),
]


class DiffusionSpec(Model):
    """What train_diffusion reads."""

    diffusion: Diffusion
    seed: int


class PublishedDiffusionSpec(Model):
    """What import_diffusion reads."""

    diffusion: PublishedDiffusion
    seed: int
