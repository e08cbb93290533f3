"""The config's models of objectives: what a training minimises."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

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


class GuideObjective(Objective):
    """An auxiliary classifier of noisy images, trained adversarially, to guide a purifier (AGDM, Lin et al. 2025)."""

    method: Literal["guide"] = Field(description="Train a classifier to guide a purifier: on noisy images, by TRADES.")
    max_sigma: Sigma = Field(gt=0, description="Train on noise up to this sigma, the purifier's.")
    eps: Number = Field(8 / 255, gt=0, le=1, description="Radius of the L-infinity ball, pixel units.")
    steps: PositiveInt = Field(5, description="PGD steps against each batch.")
    weight: float = Field(6.0, ge=0, le=1e6, description="Weight of the adversarial term beside the cross-entropy.")

    def extra_gradients(self, seen: int, validations: int) -> float:
        return seen * (self.steps + 1.5)  # and both images are trained on


class DiffusionsObjective(Objective):
    """What every objective of a diffusion has. One that `fine_tunes` goes on from a trained diffusion."""

    fine_tunes: ClassVar[bool] = False

    max_sigma: Sigma | None = Field(
        None,
        gt=0,
        description="Train only up to this sigma (purification goes no higher); the whole schedule if absent.",
    )


class DenoisingObjective(DiffusionsObjective):
    """The denoiser's own loss at random noise levels; of predicted noise, Ho et al. (2020), eq. 14."""

    method: Literal["denoising"] = Field(description="Plain training of a diffusion.")


class FineTuning(DiffusionsObjective):
    """What every objective has that goes on from a trained diffusion and knows of a classifier."""

    fine_tunes: ClassVar[bool] = True

    guide: Name = Field(description="The classifier that the training follows; it is not trained.")

    @property
    def needs(self) -> Needs:
        return {"guide": Need("classifier", self.guide)}


class AddtObjective(FineTuning):
    """Adversarial denoising diffusion training (ADDT, Liu et al. 2025).

    Part of the noise is a perturbation that makes the classifier err on the denoised image.
    """

    method: Literal["addt"] = Field(description="Train a diffusion on adversarial noise, along a classifier.")
    iterations: PositiveInt = Field(5, description="Gradients that each perturbation is made of.")
    strength: Number = Field(
        0.015, ge=0, le=1, description="Root mean square of the perturbation in the noised image, in pixel units."
    )
    largest_share: float = Field(0.3, ge=0, lt=1, description="The most of the noise that is perturbation.")
    shape: Literal["ranks", "norm", "linf"] = Field(
        "ranks",
        description="What a gradient becomes: Gaussian values in the order of its own (`ranks`, RBGM), itself scaled "
        "to the length of noise (`norm`), or steps by its sign in an L-infinity ball, added to the noise (`linf`).",
    )
    eps: Number = Field(8 / 255, ge=0, le=1, description="Of `linf`: radius of the ball, pixel units.")
    step_size: Number = Field(4 / 255, gt=0, le=1, description="Of `linf`: size of a step, pixel units.")
    loss: Literal["classifier", "denoising"] = Field(
        "classifier", description="What a perturbation raises: the classifier's loss, or the denoising loss itself."
    )

    def extra_gradients(self, seen: int, validations: int) -> float:
        return seen * self.iterations


class AdbmObjective(FineTuning):
    """The adversarial diffusion bridge (ADBM, Li et al. 2025): from noised adversarial images back to clean ones."""

    method: Literal["adbm"] = Field(description="Train a diffusion to lead from adversarial images to clean ones.")
    max_sigma: Sigma = Field(
        0.362, gt=0, description="The highest sigma that a bridge begins at; the default is time step 200."
    )
    min_sigma: Sigma = Field(
        0.171, gt=0, description="The lowest sigma that a bridge begins at; the default is time step 100."
    )
    eps: Number = Field(8 / 255, ge=0, le=1, description="Radius of the L-infinity ball, pixel units.")
    steps: PositiveInt = Field(3, description="Steps of the attack, each of the ball's radius.")

    @model_validator(mode="after")
    def _consistent(self) -> AdbmObjective:
        if self.min_sigma > self.max_sigma:
            raise ValueError(f"min_sigma: {self.min_sigma:g} is above max_sigma, {self.max_sigma:g}; lower it")
        return self

    def extra_gradients(self, seen: int, validations: int) -> float:
        return seen * self.steps


class JointObjective(FineTuning):
    """The denoiser trained for the classifier behind it, which stays as it is (Salman et al. 2020)."""

    method: Literal["joint"] = Field(
        description="Train a diffusion on its own loss and the classifier's of the denoised image."
    )
    weight: float = Field(0.01, ge=0, le=1e6, description="Weight of the classifier's loss beside the denoising loss.")
    target: Literal["label", "prediction"] = Field(
        "label",
        description="What the classifier should say of the denoised image: its `label`, or what it says of the clean "
        "image (`prediction`, the stability loss, which needs no labels).",
    )

    def extra_gradients(self, seen: int, validations: int) -> float:
        return 1.5 * seen  # the denoiser is called and differentiated twice for each image


class PythonObjective(Brought, Objective, extra="allow"):
    """An objective of your own: a module with `build(spec, task)`, which returns an `Objective`."""

    method: Literal["python"] = Field(description="A module of your own, see README.md.")


def by_name(value: Any) -> Any:
    """A bare word as the objective of that name, with its defaults."""
    return {"method": value} if isinstance(value, str) else value


Classifying = Annotated[
    CrossEntropyObjective | AdversarialObjective | GuideObjective | PythonObjective,
    Field(discriminator="method"),
]
Denoising = Annotated[
    DenoisingObjective | AddtObjective | AdbmObjective | JointObjective | PythonObjective,
    Field(discriminator="method"),
]
ClassifierObjective = Annotated[Classifying, BeforeValidator(by_name, json_schema_input_type=str | Classifying)]
DiffusionObjective = Annotated[Denoising, BeforeValidator(by_name, json_schema_input_type=str | Denoising)]
