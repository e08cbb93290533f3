"""The config's model of a training: the keys that classifiers and diffusions share."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from assay.study.fields import Count, Model, Name, PositiveInt, Seed

Share = Annotated[float, Field(gt=0, lt=1)]
Change = Annotated[float, Field(ge=0, le=1)]


class FlipLeftRight(Model):
    """Mirror."""

    method: Literal["flip_lr"] = Field(description="Flip an image left-right, at even odds.")


class FlipUpDown(Model):
    """Turn upside down."""

    method: Literal["flip_ud"] = Field(description="Flip an image up-down, at even odds.")


class Crop(Model):
    """Shift."""

    method: Literal["crop"] = Field(description="Pad an image with black and cut its own size out at random.")
    padding: PositiveInt = Field(description="Pixels of padding on each side; `{crop: 4}` is short for it.")


class ResizedCrop(Model):
    """Zoom."""

    method: Literal["resized_crop"] = Field(
        description="Cut a part out at random, of an aspect ratio from 3:4 to 4:3, and resize it to the image's size."
    )
    scale: tuple[float, float] = Field(
        description="Smallest and largest share of the area; `{resized_crop: [0.5, 1]}` is short for it."
    )

    @model_validator(mode="after")
    def _consistent(self) -> ResizedCrop:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale: {list(self.scale)} are not two rising shares of the area; write [0.5, 1]")
        return self


class Colour(Model):
    """Change the colours, in random order."""

    method: Literal["colour"] = Field(
        description="Change colours at random; `{colour: {brightness: 0.4, hue: 0.05}}` is short for it."
    )
    brightness: Change = Field(0.0, description="Largest change of the brightness, as a share.")
    contrast: Change = Field(0.0, description="Largest change of the contrast, as a share.")
    saturation: Change = Field(0.0, description="Largest change of the saturation, as a share.")
    hue: float = Field(0.0, ge=0, le=0.5, description="Largest change of the hue, as a share of the colour circle.")


SHORT = {"crop": "padding", "resized_crop": "scale"}  # the key that the short form of an augmentation gives


def spell_out(value: Any) -> Any:
    """The short form of an augmentation, `flip_lr`, `{crop: 4}` or `{colour: {…}}`, as keys with `method`."""
    if isinstance(value, str):
        return {"method": value}
    if isinstance(value, dict) and len(value) == 1 and "method" not in value:
        ((method, keys),) = value.items()
        return {"method": method} | (keys if isinstance(keys, dict) else {SHORT.get(method, method): keys})
    return value


AnyAugmentation = Annotated[
    FlipLeftRight | FlipUpDown | Crop | ResizedCrop | Colour,
    Field(discriminator="method"),
]
Augmentation = Annotated[
    AnyAugmentation, BeforeValidator(spell_out, json_schema_input_type=str | AnyAugmentation | dict)
]


Schedule = Literal["one_cycle", "cosine", "step", "triangular", "constant"]
SCHEDULE = (
    "Learning-rate schedule: `one_cycle` (half a cosine up over 30% of the steps, then half a cosine down to zero), "
    "`cosine` (down to zero), `step` (times `factor` at each of `milestones`), `triangular` (straight up over 30% of "
    "the steps, then straight down) or `constant`."
)
EMA_DECAY = (
    "Highest decay of a running mean of the weights, which is then what is validated and kept; the weights themselves "
    "if absent."
)
ON_DIVERGENCE = (
    "What happens when the loss, the validation loss or a weight is no longer finite: `fail` (the training stops with "
    "an error that names the step) or `record` (the network has no weights, its manifest names the step, and the cells "
    "that need it are shown as not to be measured)."
)


class Ranks(Model):
    """The processes of a training; how many there are changes nothing but the time."""

    nodes: int = Field(1, gt=0, le=4096, description="Nodes of the cluster.")
    gpus: int = Field(1, gt=0, le=64, description="GPUs of each node, one process for each.")


class Recipe(Model):
    """How a network is trained, whatever the objective."""

    default_epochs: ClassVar[int | None] = None

    epochs: PositiveInt | None = Field(None, description="Passes over the training images; or give `steps`.")
    steps: PositiveInt | None = Field(None, description="Training steps; or give `epochs`.")
    batch_size: PositiveInt = Field(64, description="Batch size of a training step, over all ranks.")
    accumulate: PositiveInt = Field(
        1,
        description="Parts that a rank computes its share of a batch in, to save memory. Batch normalisation sees one "
        "part at a time.",
    )
    optimiser: Literal["adamw", "sgd"] = Field("adamw", description="`adamw`, or `sgd` with Nesterov momentum 0.9.")
    learning_rate: float = Field(1e-3, gt=0, description="Highest learning rate.")
    weight_decay: float = Field(0.0, ge=0, le=1000, description="Weight decay (`adamw`: decoupled from the gradient).")
    decay: Literal["all", "weights"] = Field(
        "all", description="Parameters that decay: all, or the weights only (no biases and no normalisation layers)."
    )
    learning_rate_schedule: Schedule = Field("cosine", description=SCHEDULE)
    milestones: list[Share] = Field(
        [0.5, 0.75], description="Of `step`: where the rate falls, as shares of the training."
    )
    factor: Share = Field(0.1, description="Of `step`: what the learning rate is multiplied by at each milestone.")
    warmup_steps: Count = Field(0, description="Steps in which the learning rate rises from zero, before all else.")
    gradient_clip: float | None = Field(None, gt=0, description="Largest norm of a step's gradient; any if absent.")
    ema_decay: float | None = Field(None, ge=0, lt=1, description=EMA_DECAY)
    validate_every: PositiveInt | None = Field(None, description="Steps between two validations; an epoch if absent.")
    on_divergence: Literal["fail", "record"] = Field("fail", description=ON_DIVERGENCE)
    augment: list[Augmentation] = Field(
        [FlipLeftRight(method="flip_lr"), FlipUpDown(method="flip_ud")],
        description="Random changes of the training images, in this order: `flip_lr`, `flip_ud`, `{crop: PADDING}`, "
        "`{resized_crop: [LOW, HIGH]}`, `{colour: {…}}`; `[]` for none.",
    )
    start: Name | None = Field(
        None, description="Network of this study whose weights this one starts from; random weights if absent."
    )
    seed: Seed = Field(0, description="Added to the study's seed: another value trains another network.")
    ranks: Ranks | None = Field(
        None,
        exclude=True,  # no part of a spec: it says how fast a network is trained, not which
        description="Where the training runs, `{nodes: 2, gpus: 4}`; all GPUs of one machine if absent.",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, keys: Any) -> Any:
        if isinstance(keys, dict) and keys.get("steps") is None and keys.get("epochs") is None and cls.default_epochs:
            return keys | {"epochs": cls.default_epochs}
        return keys

    @model_validator(mode="after")
    def _possible(self) -> Recipe:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("steps: give either steps or epochs")
        if self.batch_size % self.parts:
            raise ValueError(
                f"batch_size: {self.batch_size} cannot be shared by {self.parts} ranks and parts; "
                f"choose a multiple of {self.parts}"
            )
        if self.milestones != sorted(set(self.milestones)):
            raise ValueError(f"milestones: {self.milestones} do not rise; write [0.5, 0.75]")
        return self

    @property
    def parts(self) -> int:
        """The parts that a batch is computed in, over all ranks that the config asks for."""
        return self.accumulate * (self.ranks.nodes * self.ranks.gpus if self.ranks else 1)

    def steps_per_epoch(self, images: int) -> int:
        """Whole batches in a pass over so many training images."""
        return max(1, images // self.batch_size)

    def total_steps(self, images: int) -> int:
        """Steps of a training on so many images."""
        return self.steps or self.epochs * self.steps_per_epoch(images)

    def images_seen(self, images: int) -> int:
        """Images that all steps of a training on so many images see together."""
        return self.total_steps(images) * min(self.batch_size, images)

    def validations(self, images: int) -> int:
        """Validations in a training on so many images."""
        return math.ceil(self.total_steps(images) / (self.validate_every or self.steps_per_epoch(images)))
