"""The config's models of objectives: what a training minimises."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from assay.study.fields import Brought, Count, Model, Name, Number, PositiveInt, Sigma
from assay.study.needs import Need, Needs


class Objective(Model):
    """What every objective has."""

    @property
    def implementation(self) -> str:
        """The module that builds it."""
        return f"assay.training.objectives.{self.method}"

    def extra_gradients(self, seen: int, validations: int) -> float:
        """Gradients that it takes beside one for each of so many images seen in training, and in its validations."""
        return 0.0


class CrossEntropyObjective(Objective):
    """The cross-entropy of images as they are."""

    method: Literal["cross_entropy"] = Field(description="Plain training of a classifier.")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of each label that is spread evenly over all classes."
    )


class AdversarialObjective(Objective):
    """Adversarial training (Madry et al. 2018): the cross-entropy of images that PGD has just found.

    Without clean images among them, and without keeping the best epoch, robust accuracy is easily lost again
    (Rice et al. 2020).
    """

    method: Literal["adversarial"] = Field(description="Adversarial training of a classifier, by PGD.")
    eps: Number = Field(gt=0, le=1, description="Radius of the L-infinity ball, in pixel units: `2/255` or a number.")
    steps: PositiveInt = Field(10, description="PGD steps against each batch.")
    step_size: Number | None = Field(
        None, gt=0, le=1, description="Size of a step, pixel units; 2.5 eps / steps if absent."
    )
    clean_share: float = Field(0.5, ge=0, lt=1, description="Share of each batch that is left clean.")
    warmup_epochs: Count = Field(0, description="Epochs over which eps rises to its full size.")
    patience: PositiveInt | None = Field(
        None, description="Stop after so many validations without a better robust accuracy; never if absent."
    )
    validation_steps: PositiveInt = Field(20, description="PGD steps against the validation images.")
    validation_images: PositiveInt = Field(
        256, description="Validation images that are attacked; the weights that are best on them are kept."
    )

    def extra_gradients(self, seen: int, validations: int) -> float:
        attacked = (1 - self.clean_share) * seen * self.steps
        return attacked + validations * self.validation_images * self.validation_steps


class NoisedObjective(Objective):
    """What every objective has that trains at random noise levels."""

    max_sigma: Sigma | None = Field(
        None,
        gt=0,
        description="Train only up to this sigma (purification goes no higher); the whole schedule if absent.",
    )


class DenoisingObjective(NoisedObjective):
    """The denoiser's own loss at random noise levels; of predicted noise, Ho et al. (2020), eq. 14."""

    method: Literal["denoising"] = Field(description="Plain training of a diffusion.")


class StabilityObjective(NoisedObjective):
    """The denoiser's own loss, and beside it a classifier's answers on denoised images (Salman et al. 2020).

    The classifier is frozen. A denoiser that is trained for one may not serve another: certify another one with it too.
    """

    method: Literal["stability"] = Field(description="Training of a diffusion for a classifier.")
    guide: Name = Field(description="The classifier whose answers on denoised images count.")
    weight: float = Field(
        0.1, gt=0, le=1e6, description="Weight of the answers' cross-entropy; the denoiser's own loss has 1."
    )
    towards: Literal["answer", "label"] = Field(
        "answer", description="What the classifier is to answer: what it answers on the clean image, or the label."
    )

    @property
    def needs(self) -> Needs:
        return {"guide": Need("classifier", self.guide)}

    def extra_gradients(self, seen: int, validations: int) -> float:
        return 1.5 * seen  # one more pass through the denoiser, with respect to its weights


class PythonObjective(Brought, Objective, extra="allow"):
    """An objective of your own: a module with `build(spec, task)`, which returns an `Objective`."""

    method: Literal["python"] = Field(description="A module of your own, see README.md.")


def by_name(value: Any) -> Any:
    """A bare word as the objective of that name, with its defaults."""
    return {"method": value} if isinstance(value, str) else value


Classifying = Annotated[CrossEntropyObjective | AdversarialObjective | PythonObjective, Field(discriminator="method")]
Denoising = Annotated[DenoisingObjective | StabilityObjective | PythonObjective, Field(discriminator="method")]
ClassifierObjective = Annotated[Classifying, BeforeValidator(by_name, json_schema_input_type=str | Classifying)]
DiffusionObjective = Annotated[Denoising, BeforeValidator(by_name, json_schema_input_type=str | Denoising)]
