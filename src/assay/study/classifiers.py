"""The config's models of classifiers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from assay.study.fields import Model, Number, PositiveInt, Sha256, UnitRange, told_by

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


class AdversarialTraining(Model):
    """Adversarial training (Madry et al. 2018): each step trains on images that PGD has just found against the network.

    Without clean images among them, and without keeping the best epoch, robust accuracy is easily lost again
    (Rice et al. 2020).
    """

    eps: Number = Field(gt=0, le=1, description="Radius of the L-infinity ball, in pixel units: `2/255` or a number.")
    steps: PositiveInt = Field(10, description="PGD steps against each batch.")
    step_size: Number | None = Field(None, gt=0, description="Size of a step, pixel units; 2.5 eps / steps if absent.")
    clean_share: float = Field(0.5, ge=0, lt=1, description="Share of each batch that is left clean.")
    warmup_epochs: int = Field(0, ge=0, description="Epochs over which eps rises to its full size.")
    patience: PositiveInt | None = Field(
        None, description="Stop after so many epochs without a better robust validation accuracy; never if absent."
    )
    validation_steps: PositiveInt = Field(20, description="PGD steps against the validation images, after each epoch.")
    validation_images: PositiveInt = Field(
        256, description="Validation images that are attacked; the epoch that is best on them is kept."
    )

    def gradients(self, images: int) -> float:
        """Gradients with respect to images that PGD takes in an epoch over so many training images."""
        return (1 - self.clean_share) * images * self.steps + self.validation_images * self.validation_steps


class Classifier(Network):
    """A classifier and its training."""

    kind: ClassVar[str] = "trained"

    epochs: PositiveInt = Field(10, description="Passes over the training images.")
    batch_size: PositiveInt = Field(64, description="Images a training step.")
    learning_rate: float = Field(2e-3, gt=0, description="Highest learning rate of AdamW.")
    weight_decay: float = Field(1e-2, ge=0, description="Weight decay of AdamW.")
    schedule: Literal["one_cycle", "cosine"] = Field("one_cycle", description="Course of the learning rate.")
    flips: bool = Field(True, description="Flip training images left-right and up-down at random.")
    adversarial: AdversarialTraining | None = Field(
        None, description="Train adversarially, with these keys; plain training if absent."
    )
    seed: int = Field(0, ge=0, description="Added to the study's seed: another value trains another network.")


class PublishedClassifier(Model):
    """A classifier that was trained elsewhere."""

    kind: ClassVar[str] = "published"
    small_stem: ClassVar[bool] = False

    published: str = Field(
        min_length=1,
        description="Its weights: a folder, a `.safetensors` or `.pth` file, or `hf-hub:OWNER/NAME` "
        "(`hf-hub:OWNER/NAME/FILE` for one file of many).",
    )
    layout: Literal["timm", "tiatoolbox"] = Field(
        description="`timm`: config.json beside model.safetensors; `tiatoolbox`: a TIAToolbox CNNModel's state dict."
    )
    network: NetworkName | None = Field(
        None,
        description="`timm/NAME` or `torchvision/NAME`; `timm` has it in config.json, `tiatoolbox` needs its backbone "
        "here, such as `torchvision/resnet101`.",
    )
    mean: Colours | None = Field(
        None, description="Normalisation: mean by channel; of config.json if absent, 0 for `tiatoolbox`."
    )
    std: Colours | None = Field(
        None, description="Normalisation: standard deviation by channel; of config.json if absent, 1 for `tiatoolbox`."
    )
    data_range: UnitRange = Field(
        (0.0, 1.0), description="Range that images have before mean and std are applied: `[0, 1]` or `[-1, 1]`."
    )
    revision: str | None = Field(None, description="Commit of the hub's repository; its newest if absent.")
    sha256: Sha256 | None = Field(None, description="SHA-256 of the weights file; any other file is refused.")

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the network's constructor that its layout fixes."""
        plain = {"aux_logits": False, "init_weights": False, "transform_input": False}
        return plain if self.network == "torchvision/googlenet" else {}

    @model_validator(mode="after")
    def _consistent(self) -> PublishedClassifier:
        if self.layout == "tiatoolbox" and not (self.network or "").startswith("torchvision/"):
            raise ValueError("network: missing; layout tiatoolbox needs its backbone, such as torchvision/resnet101")
        if self.layout == "timm" and (self.network or "timm/").startswith("torchvision/"):
            raise ValueError(f"network: layout timm is of timm's networks, not of {self.network}; remove network")
        return self


AnyClassifier = Annotated[
    Annotated[Classifier, Tag(Classifier.kind)] | Annotated[PublishedClassifier, Tag(PublishedClassifier.kind)],
    Discriminator(told_by("published", PublishedClassifier.kind, Classifier.kind)),
]


class ClassifierSpec(Model):
    """What train_classifier reads."""

    classifier: Classifier
    seed: int


class PublishedClassifierSpec(Model):
    """What import_classifier reads."""

    classifier: PublishedClassifier
