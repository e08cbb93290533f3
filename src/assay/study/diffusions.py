"""The config's model of diffusions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from assay.study.fields import Model, PositiveInt, Sigma


class Diffusion(Model):
    """A denoising diffusion model (diffusers' UNet2DModel, epsilon prediction) and its training."""

    channels: list[PositiveInt] = Field(description="Channels of the U-Net by level, from full resolution down.")
    layers_per_block: PositiveInt = Field(2, description="Residual layers a level.")
    attention_levels: list[int] = Field([], description="Levels (0 = full resolution) that have self-attention.")
    middle_attention: bool = Field(True, description="Self-attention in the middle of the U-Net.")
    norm_groups: PositiveInt = Field(32, description="Groups of each group normalisation; divides every channel count.")
    schedule: Literal["linear", "cosine"] = Field("linear", description="Noise schedule (DDPM's linear, or cosine).")
    time_steps: PositiveInt = Field(1000, description="Time steps of the noise schedule.")
    data_range: tuple[float, float] = Field(
        (-1.0, 1.0), description="Range that the network's images have; sigma and eps stay in pixel units all the same."
    )
    max_sigma: Sigma | None = Field(
        None, description="Train only up to this sigma (purification goes no higher); the whole schedule if absent."
    )
    steps: PositiveInt = Field(description="Training steps.")
    batch_size: PositiveInt = Field(64, description="Images a training step.")
    learning_rate: float = Field(1e-4, gt=0, description="Highest learning rate of AdamW (cosine schedule).")
    warmup_steps: int = Field(0, ge=0, description="Steps in which the learning rate rises from zero.")
    weight_decay: float = Field(0.0, ge=0, description="Weight decay of AdamW.")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="Highest decay of the running mean of the weights.")
    gradient_clip: float = Field(1.0, gt=0, description="Largest norm of a step's gradient.")
    flips: bool = Field(True, description="Flip training images left-right and up-down at random.")
    validate_every: PositiveInt = Field(100, description="Steps between two validation losses.")
    seed: int = Field(0, ge=0, description="Added to the study's seed: another value trains another network.")

    @model_validator(mode="after")
    def _consistent(self) -> Diffusion:
        if any(channels % self.norm_groups for channels in self.channels):
            raise ValueError(
                f"channels: each of {self.channels} must be a multiple of norm_groups ({self.norm_groups})"
            )
        if self.data_range[0] >= self.data_range[1]:
            raise ValueError(f"data_range: {list(self.data_range)} is no range; write [-1, 1] or [0, 1]")
        if any(not 0 <= level < len(self.channels) for level in self.attention_levels):
            raise ValueError(f"attention_levels: {self.attention_levels} must lie in 0..{len(self.channels) - 1}")
        return self


class DiffusionSpec(Model):
    """What train_diffusion reads."""

    diffusion: Diffusion
    seed: int
