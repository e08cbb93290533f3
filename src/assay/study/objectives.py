"""The config's models of objectives: what a training minimises."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from assay.study.fields import Brought, Count, Model, Name, Number, PositiveInt, Sigma, is_unused
from assay.study.needs import Need, Needs

Share = Annotated[float, Field(gt=0, lt=1)]
Smoothing = Annotated[float, Field(ge=0, lt=1)]
SMOOTHING = "Share of each label that is spread evenly over all classes."
TO_WEIGHTS = 1.5  # a gradient with respect to the weights too, in gradients with respect to images alone


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
    label_smoothing: Smoothing = Field(0.0, description=SMOOTHING)


class WeightPerturbation(Model):
    """Adversarial weight perturbation (Wu et al. 2020), on top of an adversarial training."""

    gamma: float = Field(
        0.01, gt=0, le=1, description="How far each layer's weights are moved, as a share of their norm."
    )
    after_epochs: Count = Field(0, description="Epochs of training before it begins.")


class RobustObjective(Objective):
    """What all adversarial trainings share.

    Without keeping the best epoch, robust accuracy is easily lost again (Rice et al. 2020).
    """

    eps: Number = Field(gt=0, le=1, description="Radius of the L-infinity ball, in pixel units: `2/255` or a number.")
    label_smoothing: Smoothing = Field(0.0, exclude_if=is_unused, description=SMOOTHING)
    warmup_epochs: Count = Field(0, description="Epochs over which eps rises to its full size.")
    awp: WeightPerturbation | None = Field(
        None,
        exclude_if=is_unused,
        description="Adversarial weight perturbation, `{gamma: 0.01}`; none if absent.",
    )
    keep: Literal["best", "last"] = Field(
        "best",
        exclude_if=lambda value: value == "best",
        description="Weights that are kept: those of the `best` robust validation accuracy, or the `last` ones.",
    )
    largest_fall: Share | None = Field(
        None,
        exclude_if=is_unused,
        description="Stop once the robust validation accuracy is by more than this below its best, and keep the best "
        "weights: catastrophic overfitting (Wong et al. 2020). Never if absent.",
    )
    patience: PositiveInt | None = Field(
        None, description="Stop after so many validations without a better robust accuracy; never if absent."
    )
    validation_steps: PositiveInt = Field(20, description="PGD steps against the validation images.")
    validation_images: PositiveInt = Field(
        256, description="Validation images that are attacked, to judge how robust the weights are."
    )

    def attack_gradients(self, seen: int) -> float:
        """Gradients of the attacks on so many images that are seen in training."""
        raise NotImplementedError

    def extra_gradients(self, seen: int, validations: int) -> float:
        moved = TO_WEIGHTS * seen if self.awp else 0
        return self.attack_gradients(seen) + moved + validations * self.validation_images * self.validation_steps


class AdversarialObjective(RobustObjective):
    """Adversarial training (Madry et al. 2018): the cross-entropy of images that PGD has just found.

    Without clean images among them, accuracy on clean images suffers. Xie et al. (2019) have none, attack towards
    random classes, and start a fifth of the attacks at the images themselves.
    """

    method: Literal["adversarial"] = Field(description="Adversarial training of a classifier, by PGD.")
    steps: PositiveInt = Field(10, description="PGD steps against each batch.")
    step_size: Number | None = Field(
        None, gt=0, le=1, description="Size of a step, pixel units; 2.5 eps / steps if absent."
    )
    target: Literal["random"] | None = Field(
        None,
        exclude_if=is_unused,
        description="`random`: attacks aim at a random wrong class of each image, another one in each step; away from "
        "the right class if absent.",
    )
    clean_starts: float = Field(
        0.0,
        ge=0,
        le=1,
        exclude_if=is_unused,
        description="Share of the steps whose attacks start at the images themselves instead of at random points of "
        "the ball.",
    )
    clean_share: float = Field(0.5, ge=0, lt=1, description="Share of each batch that is left clean.")

    def attack_gradients(self, seen: int) -> float:
        return (1 - self.clean_share) * seen * self.steps


class FgsmRsObjective(RobustObjective):
    """Fast adversarial training (Wong et al. 2020): one step of the gradient's sign from a random point of the ball."""

    method: Literal["fgsm_rs"] = Field(description="Fast adversarial training, FGSM with a random start.")
    stride: float = Field(1.25, gt=0, le=10, description="Length of the one step, in eps; projected into the ball.")
    largest_fall: Share | None = Field(
        0.2,
        description="Stop once the robust validation accuracy is by more than this below its best, and keep the best "
        "weights: catastrophic overfitting. `null`: never.",
    )

    def attack_gradients(self, seen: int) -> float:
        return seen


class NFgsmObjective(RobustObjective):
    """N-FGSM (de Jorge et al. 2022): one step of the gradient's sign from strong noise, without projection."""

    method: Literal["n_fgsm"] = Field(description="Fast adversarial training, N-FGSM.")
    noise: float = Field(2.0, ge=0, le=10, description="Largest size of the uniform noise before the step, in eps.")
    largest_fall: Share | None = Field(
        0.2,
        description="Stop once the robust validation accuracy is by more than this below its best, and keep the best "
        "weights: catastrophic overfitting. `null`: never.",
    )

    def attack_gradients(self, seen: int) -> float:
        return seen


class TradesObjective(RobustObjective):
    """TRADES (Zhang et al. 2019): clean images are to be right, and their neighbours to be answered like them."""

    method: Literal["trades"] = Field(description="Adversarial training by TRADES.")
    steps: PositiveInt = Field(10, description="Steps of the attack against each batch.")
    step_size: Number | None = Field(
        None, gt=0, le=1, description="Size of a step, pixel units; 2.5 eps / steps if absent."
    )
    beta: float = Field(6.0, ge=0, le=1000, description="Weight of the divergence beside the cross-entropy.")

    def attack_gradients(self, seen: int) -> float:
        return (self.steps + TO_WEIGHTS) * seen

    def extra_gradients(self, seen: int, validations: int) -> float:
        both = TO_WEIGHTS * seen if self.awp else 0  # the perturbation's loss is of the clean images too
        return super().extra_gradients(seen, validations) + both


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
    CrossEntropyObjective
    | AdversarialObjective
    | FgsmRsObjective
    | NFgsmObjective
    | TradesObjective
    | GuideObjective
    | PythonObjective,
    Field(discriminator="method"),
]
Denoising = Annotated[
    DenoisingObjective | AddtObjective | AdbmObjective | JointObjective | PythonObjective,
    Field(discriminator="method"),
]
ClassifierObjective = Annotated[Classifying, BeforeValidator(by_name, json_schema_input_type=str | Classifying)]
DiffusionObjective = Annotated[Denoising, BeforeValidator(by_name, json_schema_input_type=str | Denoising)]
