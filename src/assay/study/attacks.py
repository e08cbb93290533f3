"""The config's models of attacks."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from assay.study.fields import Model, Norm, Number, PositiveInt

Threat = Literal["transfer", "adaptive"]


class Attack(Model):
    """What every attack has."""

    fixed_norm: ClassVar[Norm | None] = None

    eps: list[Number] = Field(min_length=1, description="Radii of the ball, in pixel units: `2/255` or a number.")
    threat: Threat = Field(
        "transfer",
        description="`transfer`: against the bare classifier; `adaptive`: the exact gradient through each defence.",
    )
    draws: PositiveInt = Field(1, description="Fresh draws of the defence averaged in each query (EOT); adaptive only.")

    @property
    def radius(self) -> float:
        """The one eps of a job's spec."""
        (eps,) = self.eps
        return eps

    @property
    def ball(self) -> Norm:
        """The norm of the ball."""
        return self.fixed_norm or self.norm

    @model_validator(mode="after")
    def _consistent(self) -> Attack:
        for eps in self.eps:
            if eps < 0 or (self.ball == "Linf" and eps > 1):
                raise ValueError(
                    f"eps: {eps:g} lies outside [0,1]; eps is in pixel units, write 2/255 for 2 grey levels"
                )
        if self.threat == "transfer" and self.draws > 1:
            raise ValueError("draws: the bare classifier is not stochastic; remove draws or set threat: adaptive")
        return self


class FgsmAttack(Attack):
    """One step along the gradient's sign (Goodfellow et al. 2015)."""

    fixed_norm: ClassVar[Norm] = "Linf"
    method: Literal["fgsm"] = Field(description="One step of size eps along the gradient's sign.")


class PgdAttack(Attack):
    """Projected gradient descent in the L-infinity ball (Madry et al. 2018)."""

    fixed_norm: ClassVar[Norm] = "Linf"
    method: Literal["pgd"] = Field(description="Steps along the gradient's sign, projected into the ball.")
    steps: PositiveInt = Field(20, description="Steps.")
    step_size: Number | None = Field(None, gt=0, description="Size of a step, pixel units; 2.5 eps / steps if absent.")
    random_start: bool = Field(True, description="Begin at a random point of the ball.")


class PgdL2Attack(Attack):
    """Projected gradient descent in the L2 ball."""

    fixed_norm: ClassVar[Norm] = "L2"
    method: Literal["pgdl2"] = Field(description="Steps along the normalised gradient, projected into the L2 ball.")
    steps: PositiveInt = Field(20, description="Steps.")
    step_size: Number | None = Field(None, gt=0, description="Size of a step, pixel units; 2.5 eps / steps if absent.")
    random_start: bool = Field(True, description="Begin at a random point of the ball.")


class ApgdAttack(Attack):
    """Auto-PGD on the cross-entropy (Croce and Hein 2020)."""

    method: Literal["apgd"] = Field(description="PGD whose step size adapts to its progress.")
    norm: Norm = Field("Linf", description="Norm of the ball.")
    steps: PositiveInt = Field(20, description="Steps.")
    restarts: PositiveInt = Field(1, description="Runs from different random starts; the best is kept.")


class SquareAttack(Attack):
    """Random search with square patches, without gradients (Andriushchenko et al. 2020)."""

    method: Literal["square"] = Field(description="Black-box random search by squares.")
    norm: Norm = Field("Linf", description="Norm of the ball.")
    queries: PositiveInt = Field(500, description="Queries an image.")


class RandomSignAttack(Attack):
    """The control: a random corner of the ball, blind to the victim."""

    fixed_norm: ClassVar[Norm] = "Linf"
    method: Literal["random_sign"] = Field(description="Plus or minus eps at each pixel, by a fair coin.")


AnyAttack = Annotated[
    FgsmAttack | PgdAttack | PgdL2Attack | ApgdAttack | SquareAttack | RandomSignAttack,
    Field(discriminator="method"),
]


class AttackSpec(Model):
    """What attack reads: the attack has the one eps of the job; the victim's purifier is None for the bare classifier.

    The purifier is validated where the victim is built, so that a transfer attack does not depend on purifier code.
    """

    attack: AnyAttack
    purifier: dict[str, Any] | None
    batch_size: PositiveInt
    seed: int
