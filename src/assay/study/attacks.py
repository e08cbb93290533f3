"""The config's models of attacks."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from assay.study.fields import Model, Norm, Number, PositiveInt

Threat = Literal["transfer", "adaptive", "bpda", "surrogate", "locked", "blackbox"]
STOCHASTIC: tuple[Threat, ...] = ("adaptive", "bpda", "surrogate", "blackbox")  # victims whose noise is fresh
GRADIENT_THREATS: tuple[Threat, ...] = ("transfer", "adaptive", "bpda", "surrogate", "locked")

PRESETS = {"quick": (10, 4), "standard": (20, 10), "thorough": (200, 20)}  # steps, draws
FEWEST_SELECTION_DRAWS = 4
MOST_DRAWS = 256  # of the 65,536 that the noise has for a query's number and draw


def storage_bits(norm: Norm, eps: float) -> int:
    """The depth of attacked images: 8 bits where the L-infinity ball's bound lies on the 8-bit grid, else 16."""
    return 8 if norm == "Linf" and abs(255 * eps - round(255 * eps)) < 1e-6 else 16


class Attack(Model):
    """What every attack has."""

    fixed_norm: ClassVar[Norm | None] = None
    threats: ClassVar[tuple[Threat, ...]] = GRADIENT_THREATS
    does: ClassVar[str] = "follows gradients"

    eps: list[Number] = Field(min_length=1, description="Radii of the ball, in pixel units: `2/255` or a number.")
    threat: Threat = Field(
        "transfer",
        description="`transfer`: against the bare classifier. Against each defended classifier: `adaptive`: the exact "
        "gradient; `bpda`: as if the purifier's gradient were one; `surrogate`: the gradient through fewer steps; "
        "`locked`: the exact gradient, and the attacker knows the noise of the one draw that is evaluated; "
        "`blackbox`: answers without gradient.",
    )
    draws: int = Field(
        1, gt=0, le=MOST_DRAWS, description="Fresh draws of the defence in each query, whose mean counts (EOT)."
    )
    selection_draws: int | None = Field(
        None,
        ge=2,
        le=MOST_DRAWS,
        description="Draws of the defence, apart from those of the queries, on which the attack compares its points; "
        f"as many as `draws` if absent, {FEWEST_SELECTION_DRAWS} at least.",
    )
    surrogate_steps: PositiveInt | None = Field(
        None, description="Steps of the purifier that stands in for the true one; threat surrogate only."
    )

    @property
    def radius(self) -> float:
        """The one eps of a job's spec."""
        (eps,) = self.eps
        return eps

    @property
    def ball(self) -> Norm:
        """The norm of the ball."""
        return self.fixed_norm or self.norm

    @property
    def stochastic(self) -> bool:
        """Whether the victim's answers differ from query to query."""
        return self.threat in STOCHASTIC

    @property
    def selection(self) -> int:
        """Draws on which points are compared; one where the victim is deterministic."""
        return (self.selection_draws or max(self.draws, FEWEST_SELECTION_DRAWS)) if self.stochastic else 1

    @property
    def passes(self) -> tuple[int, int]:
        """How often an image goes through the victim, at most, with and without gradient; each draw counts.

        The last judgement of what is stored is one of those without.
        """
        gradients, judgements, answers = self._search
        return gradients * self.draws, answers * self.draws + (judgements + 1) * self.selection

    @property
    def _search(self) -> tuple[int, int, int]:
        """Gradients, judgements and answers that the search asks for."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _consistent(self) -> Attack:
        for eps in self.eps:
            if eps < 0 or (self.ball == "Linf" and eps > 1):
                raise ValueError(
                    f"eps: {eps:g} lies outside [0,1]; eps is in pixel units, write 2/255 for 2 grey levels"
                )
        if self.threat not in self.threats:
            raise ValueError(
                f"threat: {self.threat} does not suit {self.method}, which {self.does}; "
                f"choose among {', '.join(self.threats)}"
            )
        if self.threat == "transfer" and self.draws > 1:
            raise ValueError("draws: the bare classifier is not stochastic; remove draws or set threat: adaptive")
        if self.threat == "locked" and self.draws > 1:
            raise ValueError("draws: a locked defence has the one draw that is evaluated; remove draws")
        if not self.stochastic and self.selection_draws:
            raise ValueError(f"selection_draws: a victim of threat {self.threat} is not stochastic; remove it")
        if self.threat == "surrogate" and not self.surrogate_steps:
            raise ValueError("surrogate_steps: missing; say how many steps the surrogate takes")
        if self.threat != "surrogate" and self.surrogate_steps:
            raise ValueError("surrogate_steps: only a surrogate has them; remove it or set threat: surrogate")
        return self


class SteppedAttack(Attack):
    """What every attack by gradient steps has."""

    preset: Literal["quick", "standard", "thorough"] | None = Field(
        None,
        exclude=True,
        description="Steps and draws together: "
        + ", ".join(f"`{name}` {steps} and {draws}" for name, (steps, draws) in PRESETS.items())
        + "; keys that stand beside it win.",
    )
    steps: PositiveInt = Field(20, description="Steps.")

    @property
    def _search(self) -> tuple[int, int, int]:
        return self.steps, 0 if self.threat == "transfer" else self.steps, 0

    @model_validator(mode="before")
    @classmethod
    def _preset_to_numbers(cls, keys: Any) -> Any:
        if not isinstance(keys, dict) or keys.get("preset") not in list(PRESETS):
            return keys
        steps, draws = PRESETS[keys["preset"]]
        numbers = {"steps": steps, "draws": draws} if keys.get("threat") in STOCHASTIC else {"steps": steps}
        return numbers | {key: value for key, value in keys.items() if key != "preset"}


class FgsmAttack(Attack):
    """One step along the gradient's sign (Goodfellow et al. 2015)."""

    fixed_norm: ClassVar[Norm] = "Linf"
    method: Literal["fgsm"] = Field(description="One step of size eps along the gradient's sign.")

    @property
    def _search(self) -> tuple[int, int, int]:
        return 1, 0, 0


class PgdAttack(SteppedAttack):
    """Projected gradient descent in the L-infinity ball (Madry et al. 2018)."""

    fixed_norm: ClassVar[Norm] = "Linf"
    method: Literal["pgd"] = Field(description="Steps along the gradient's sign, projected into the ball.")
    step_size: Number | None = Field(None, gt=0, description="Size of a step, pixel units; 2.5 eps / steps if absent.")
    random_start: bool = Field(True, description="Begin at a random point of the ball.")


class PgdL2Attack(SteppedAttack):
    """Projected gradient descent in the L2 ball."""

    fixed_norm: ClassVar[Norm] = "L2"
    method: Literal["pgdl2"] = Field(description="Steps along the normalised gradient, projected into the L2 ball.")
    step_size: Number | None = Field(None, gt=0, description="Size of a step, pixel units; 2.5 eps / steps if absent.")
    random_start: bool = Field(True, description="Begin at a random point of the ball.")


class ApgdAttack(SteppedAttack):
    """Auto-PGD (Croce and Hein 2020)."""

    method: Literal["apgd"] = Field(description="PGD whose step size adapts to its progress.")
    norm: Norm = Field("Linf", description="Norm of the ball.")
    loss: Literal["margin", "ce", "dlr"] = Field(
        "margin",
        description="What is ascended: `margin`, `ce` (cross-entropy) or `dlr` (difference of logits ratio, for three "
        "classes or more).",
    )
    restarts: PositiveInt = Field(1, description="Runs from different random starts; the best is kept.")

    @property
    def _search(self) -> tuple[int, int, int]:
        points = self.restarts * (self.steps + 1)
        return points, points, 0


class SquareAttack(Attack):
    """Random search with square patches, without gradients (Andriushchenko et al. 2020)."""

    threats: ClassVar[tuple[Threat, ...]] = ("transfer", "surrogate", "locked", "blackbox")
    does: ClassVar[str] = "uses no gradient"
    method: Literal["square"] = Field(description="Black-box random search by squares.")
    norm: Norm = Field("Linf", description="Norm of the ball.")
    queries: PositiveInt = Field(500, description="Queries an image, each of so many draws.")

    @property
    def _search(self) -> tuple[int, int, int]:
        return 0, 0, self.queries + 1


class RandomSignAttack(Attack):
    """The control: a random corner of the ball, blind to the victim."""

    fixed_norm: ClassVar[Norm] = "Linf"
    threats: ClassVar[tuple[Threat, ...]] = ("transfer",)
    does: ClassVar[str] = "is blind to the victim"
    method: Literal["random_sign"] = Field(description="Plus or minus eps at each pixel, by a fair coin.")

    @property
    def _search(self) -> tuple[int, int, int]:
        return 0, 0, 0


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
