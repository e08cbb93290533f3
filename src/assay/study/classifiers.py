"""The config's models of classifiers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from assay.study.blocks import Denoise
from assay.study.fields import Model, PositiveInt, Published, Revision, Sha256, UnitRange, is_unused
from assay.study.needs import Need, Needs
from assay.study.networks import (
    DENOISE,
    INPUT_SIZE,
    SAME_PADDING,
    Colours,
    InputSize,
    Network,
    NetworkName,
    PublishedDeviations,
    PythonNetwork,
)
from assay.study.objectives import ClassifierObjective, CrossEntropyObjective
from assay.study.seeds import MOST_SEEDS
from assay.study.training import SCHEDULE, Recipe, Schedule

RESNETS = ("torchvision/resnet", "torchvision/resnext", "torchvision/wide_resnet")
# The library that a layout's networks are of, and one of them.
LIBRARIES = {
    "tiatoolbox": ("torchvision/", "torchvision/resnet101"),
    "torchvision": ("torchvision/", "torchvision/resnet50"),
    "robustbench": ("assay/", "assay/wide_resnet_28_10"),
    "feature_denoising": ("torchvision/", "torchvision/resnet152"),
}


class ClassifierTraining(Recipe):
    """How a classifier is trained."""

    default_epochs: ClassVar[int | None] = 10

    epochs: PositiveInt | None = Field(
        None, description="Passes over the training images; or give `steps`. 10 if both are absent."
    )
    learning_rate: float = Field(2e-3, gt=0, description="Highest learning rate.")
    weight_decay: float = Field(1e-2, ge=0, le=1000, description="Weight decay (`adamw`: decoupled from the gradient).")
    learning_rate_schedule: Schedule = Field("one_cycle", description=SCHEDULE)
    seeds: int = Field(
        1,
        gt=0,
        le=MOST_SEEDS,
        exclude=True,  # written out before a study is read: each training has a name and a seed of its own
        description="Trainings, NAME, NAME-2, …, each with the next seed; the tables say how far they differ.",
    )
    objective: ClassifierObjective = Field(
        CrossEntropyObjective(method="cross_entropy"),
        description="What the training minimises: `cross_entropy`, or `{method: adversarial, eps: 4/255}` with keys.",
    )

    @property
    def needs(self) -> Needs:
        return self.objective.needs | ({"start": Need("classifier", self.start)} if self.start else {})


class Classifier(ClassifierTraining, Network):
    """A classifier and its training."""

    kind: ClassVar[str] = "trained"


class PythonClassifier(ClassifierTraining, PythonNetwork, extra="allow"):
    """A classifier whose network is your own, and its training, or weights that it was published with."""

    published: Published | None = Field(
        None,
        description="Its weights if it is not to be trained: a `.safetensors` or `.pth` file, or `hf-hub:OWNER/NAME`.",
    )
    revision: Revision | None = Field(None, description="Commit of the hub's repository; its newest if absent.")
    sha256: Sha256 | None = Field(None, description="SHA-256 of the published weights; any other file is refused.")

    @property
    def kind(self) -> str:
        """Whether it is `trained` here or was `published`."""
        return "published" if self.published else "trained"

    @property
    def needs(self) -> Needs:
        return self.uses | ClassifierTraining.needs.fget(self)

    @model_validator(mode="after")
    def _published_is_not_trained(self) -> PythonClassifier:
        usual = ClassifierTraining()
        for key in ClassifierTraining.model_fields:
            if self.published and getattr(self, key) != getattr(usual, key):
                raise ValueError(f"{key}: a published classifier is not trained; remove {key} or published")
        return self


class PublishedClassifier(Model):
    """A classifier that was trained elsewhere."""

    kind: ClassVar[str] = "published"
    small_stem: ClassVar[bool] = False

    published: Published = Field(
        description="Its weights: a folder, a `.safetensors` or `.pth` file, or `hf-hub:OWNER/NAME` "
        "(`hf-hub:OWNER/NAME/FILE` for one file of many).",
    )
    layout: Literal["timm", "tiatoolbox", "torchvision", "robustbench", "feature_denoising"] = Field(
        description="`timm`: config.json beside model.safetensors; `tiatoolbox`: a TIAToolbox CNNModel's state dict; "
        "`torchvision`: one of torchvision's own; `robustbench`: RobustBench's, of a wide residual network; "
        "`feature_denoising`: Xie et al.'s ImageNet networks as TREMBA converted them to PyTorch."
    )
    network: NetworkName | None = Field(
        None,
        description="`timm` has it in config.json; all others need it here, such as `torchvision/resnet101`, or "
        "`assay/wide_resnet_28_10` for `robustbench`.",
    )
    input_size: InputSize | None = Field(None, exclude_if=lambda value: value is None, description=INPUT_SIZE)
    mean: Colours | None = Field(
        None,
        description="Normalisation: mean by channel. If absent, that of config.json, ImageNet's for `torchvision`, "
        "CIFAR's for DeepMind's networks of `robustbench`, 0.5 for `feature_denoising`, and 0 for the others.",
    )
    std: PublishedDeviations | None = Field(
        None,
        description="Normalisation: standard deviation by channel; if absent, as for `mean`, and 1 where that is 0.",
    )
    same_padding: bool = Field(
        False, exclude_if=is_unused, description=f"Only with `feature_denoising`. {SAME_PADDING}"
    )
    denoise: Denoise | None = Field(None, exclude_if=is_unused, description=f"Only with `feature_denoising`. {DENOISE}")
    data_range: UnitRange = Field(
        (0.0, 1.0), description="Range that images have before mean and std are applied: `[0, 1]` or `[-1, 1]`."
    )
    revision: Revision | None = Field(None, description="Commit of the hub's repository; its newest if absent.")
    sha256: Sha256 | None = Field(None, description="SHA-256 of the weights file; any other file is refused.")

    @property
    def implementation(self) -> str:
        """The module that builds it."""
        return "assay.networks.classifier"

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the network's constructor that its layout fixes."""
        plain = {"aux_logits": False, "init_weights": False, "transform_input": False}
        return plain if self.network == "torchvision/googlenet" else {}

    @model_validator(mode="after")
    def _consistent(self) -> PublishedClassifier:
        library, example = LIBRARIES.get(self.layout, ("", ""))
        if not (self.network or "").startswith(library):
            missing = f"{self.network} is not of {library}NAME" if self.network else "missing"
            raise ValueError(f"network: {missing}; layout {self.layout} needs its network, such as {example}")
        if self.layout == "feature_denoising" and not self.network.startswith(RESNETS):
            raise ValueError(f"network: {self.network} is no ResNet; name one, such as torchvision/resnet152")
        for key in ("denoise", "same_padding"):
            if self.layout != "feature_denoising" and getattr(self, key):
                raise ValueError(f"{key}: is of layout feature_denoising only; remove it, or correct layout")
        if self.layout == "timm" and not (self.network or "timm/").startswith("timm/"):
            raise ValueError(f"network: layout timm is of timm's networks, not of {self.network}; remove network")
        return self


def _kind(value: Any) -> str:
    """What tells a classifier's models apart, of a config's part or of a model of it."""
    told = value if isinstance(value, dict) else dict(value) if isinstance(value, Model) else {}
    if told.get("method") == "python":
        return "python"
    return PublishedClassifier.kind if "published" in told else Classifier.kind


AnyClassifier = Annotated[
    Annotated[Classifier, Tag(Classifier.kind)]
    | Annotated[PublishedClassifier, Tag(PublishedClassifier.kind)]
    | Annotated[PythonClassifier, Tag("python")],
    Discriminator(_kind),
]


class ClassifierSpec(Model):
    """What train_classifier reads."""

    classifier: Annotated[
        Annotated[Classifier, Tag(Classifier.kind)] | Annotated[PythonClassifier, Tag("python")], Discriminator(_kind)
    ]
    seed: int


class PublishedClassifierSpec(Model):
    """What import_classifier reads."""

    classifier: Annotated[
        Annotated[PublishedClassifier, Tag(PublishedClassifier.kind)] | Annotated[PythonClassifier, Tag("python")],
        Discriminator(_kind),
    ]
