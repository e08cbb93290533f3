"""The config's models of attacks."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from assay.study.fields import MOST, Brought, Count, Model, Norm, Number, PositiveInt, is_unused
from assay.study.needs import Needs
from assay.study.threats import KNOWN, AnyThreat, Threat, TransferThreat

PRESETS = {"quick": (15, 6), "standard": (40, 8), "thorough": (200, 20)}  # steps, draws
FEWEST_SELECTION_DRAWS = 4
LEAVING_DRAWS = 32
HIGHEST_EPS: dict[Norm, int] = {"Linf": 1, "L2": 2000}  # black to white: of one value, or of an image of 1024 pixels
LARGEST_STEP = 2000
MOST_NOTED = 1000  # steps of a trajectory

# What an attack asks of its victim; the threats that suit it, and how a message describes it.
Follows = Literal["gradients", "answers", "nothing"]
DESCRIBED: dict[Follows, str] = {
    "gradients": "follows gradients",
    "answers": "uses no gradient",
    "nothing": "is blind to the victim",
}


def storage_bits(norm: Norm, eps: float) -> int:
    """The depth of attacked images: 8 bits where the L-infinity ball's bound lies on the 8-bit grid, else 16."""
    return 8 if norm == "Linf" and abs(255 * eps - round(255 * eps)) < 1e-6 else 16


class Attack(Model):
    """What every attack has. `follows` is what it asks of its victim; a `control` is no search, but shows what a
    perturbation of that size does by chance; a `target` is a class that it searches for; `libraries` are those that
    its search runs beside torch and numpy."""

    libraries: ClassVar[tuple[str, ...]] = ()

    eps: list[Number] = Field(min_length=1, description="Radii of the ball, in pixel units: `2/255` or a number.")
    threat: AnyThreat = Field(
        TransferThreat(),
        description="How much of the defence the attacker can use: one word, or the keys of a threat, see below.",
    )
    images: int | None = Field(
        None,
        gt=1,
        le=MOST,
        exclude_if=lambda images: images is None,
        description="Only this many of the test images are attacked, with the classes in the proportions of the whole "
        "set; the study's seed draws them, the same for every attack, and a smaller number is part of a larger one. "
        "Cells are compared on the images that they share. All test images if absent.",
    )
    draws: PositiveInt = Field(1, description="Fresh draws of the defence in each query, whose mean counts (EOT).")
    selection_draws: int | None = Field(
        None,
        ge=2,
        le=MOST,
        description="Draws of the defence, apart from those of the queries, on which the attack compares its points; "
        f"as many as `draws` if absent, {FEWEST_SELECTION_DRAWS} at least.",
    )

    @property
    def implementation(self) -> str:
        """The module that searches."""
        return f"assay.attacks.methods.{self.method}"

    @property
    def needs(self) -> Needs:
        return self.threat.needs

    @property
    def radius(self) -> float:
        """The one eps of a job's spec."""
        (eps,) = self.eps
        return eps

    @property
    def ball(self) -> Norm:
        """The norm of the ball."""
        return self.norm

    @property
    def iterations(self) -> int | None:
        """Steps along a gradient; None for an attack that takes none."""
        return None

    @property
    def noted_steps(self) -> list[int]:
        """Steps after which it is noted how each image is classified, the last one included; none if nobody asks."""
        return []

    @property
    def selection(self) -> int:
        """Draws on which points are compared; one where the victim is deterministic."""
        return (self.selection_draws or max(self.draws, FEWEST_SELECTION_DRAWS)) if self.threat.fresh else 1

    @property
    def by_vote(self) -> bool:
        """Whether points are compared by the majority vote of the draws, and not by their mean margin."""
        return False

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

    def suits(self, threat: Threat | type[Threat]) -> bool:
        """Whether the attack can be made under a threat."""
        return {"gradients": threat.gradient, "answers": threat.answers, "nothing": threat.shared}[self.follows]

    @model_validator(mode="after")
    def _consistent(self) -> Attack:
        for eps in self.eps:
            highest = HIGHEST_EPS[self.ball]
            if not 0 <= eps <= highest:
                raise ValueError(
                    f"eps: {eps:g} lies outside [0,{highest}]; eps is in pixel units, write 2/255 for 2 grey levels"
                )
        if not self.suits(self.threat):
            raise ValueError(
                f"threat: {self.threat.name} does not suit {self.method}, which {DESCRIBED[self.follows]}; "
                f"choose among {', '.join(name for name, kind in KNOWN.items() if self.suits(kind))}"
            )
        if not self.threat.fresh:
            for key, given in (("draws", self.draws > 1), ("selection_draws", self.selection_draws)):
                if given:
                    raise ValueError(
                        f"{key}: under the threat {self.threat.name} a victim has one draw, always the same; remove it"
                    )
        return self


class KnownAttack(Attack):
    """An attack whose search is a module of the library."""

    follows: ClassVar[Follows] = "gradients"
    control: ClassVar[bool] = False


Loss = Literal["margin", "ce", "dlr"]
Decay = Literal["none", "linear", "cosine"]
Objective = Literal["expected", "majority"]


class TargetedAttack(KnownAttack):
    """An attack that may search for a class, in place of any but the right one."""

    target: Literal["random"] | None = Field(
        None,
        description="`random`: search for one wrong class, drawn for each image by the study's seed, the same one for "
        "every attack; any wrong class if absent.",
    )


class GradientAttack(TargetedAttack):
    """What every attack along gradients has."""

    loss: Loss = Field(
        "margin",
        description="Loss to maximise: `margin`, whose gradient never saturates, `ce` (cross-entropy) or `dlr` "
        "(difference of logits ratio, for three classes or more).",
    )

    @model_validator(mode="after")
    def _loss_has_a_target(self) -> GradientAttack:
        if self.loss == "dlr" and self.target:
            raise ValueError("loss: dlr here has no target; set loss: margin, or remove target")
        return self


class SteppedAttack(GradientAttack):
    """What every attack by gradient steps has."""

    preset: Literal["quick", "standard", "thorough"] | None = Field(
        None,
        exclude=True,
        description="Steps and draws together: "
        + ", ".join(f"`{name}` {steps} and {draws}" for name, (steps, draws) in PRESETS.items())
        + "; keys that stand beside it win.",
    )
    steps: PositiveInt = Field(20, description="Steps.")
    objective: Objective = Field(
        "expected",
        description="What the attack lowers behind a defence: `expected`, the accuracy of one draw (the loss is "
        "averaged over draws), or `majority`, that of the majority vote over draws (the loss is that of the mean "
        "logits, and points are compared by the vote of the selection draws).",
    )
    restarts: PositiveInt = Field(1, description="Runs from different random starts; the best is kept.")
    early_leaving: bool = Field(
        True,
        description="Behind a defence an image that is broken gets no more queries: one whose point none of "
        f"{LEAVING_DRAWS} more draws gets right, which therefore is right in at most one draw of "
        f"{1 / (1 - 0.05 ** (1 / LEAVING_DRAWS)):.0f} (95 % confidence).",
    )

    @property
    def iterations(self) -> int:
        return self.steps

    @property
    def by_vote(self) -> bool:
        return self.objective == "majority"

    def _asked_first(self, points: int) -> int:
        """Queries without gradient that go before those with one: of the mean logits, which a vote's gradient needs."""
        return points if self.by_vote else 0

    @model_validator(mode="after")
    def _a_vote_has_voters(self) -> SteppedAttack:
        if self.by_vote and self.draws < 3:
            raise ValueError(
                f"objective: a majority needs a threat with fresh noise and 3 draws or more, this attack has "
                f"{self.draws}; set draws, or remove objective"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _preset_to_numbers(cls, keys: Any) -> Any:
        if not isinstance(keys, dict) or keys.get("preset") not in list(PRESETS):
            return keys
        steps, draws = PRESETS[keys["preset"]]
        try:
            fresh = TypeAdapter(AnyThreat).validate_python(keys.get("threat", "transfer")).fresh
        except ValidationError:  # the key's own fault, which its field tells
            fresh = False
        numbers = {"steps": steps, "draws": draws} if fresh else {"steps": steps}
        return numbers | {key: value for key, value in keys.items() if key != "preset"}


class FgsmAttack(GradientAttack):
    """One step along the gradient's sign (Goodfellow et al. 2015)."""

    norm: ClassVar[Norm] = "Linf"
    method: Literal["fgsm"] = Field(description="One step of size eps along the gradient's sign.")

    @property
    def _search(self) -> tuple[int, int, int]:
        return 1, 0, 0

    @property
    def iterations(self) -> int:
        return 1


class DescentAttack(SteppedAttack):
    """What projected gradient descent has in either ball."""

    step_size: Number | None = Field(
        None, gt=0, le=LARGEST_STEP, description="Mean size of a step, pixel units; 10 eps / steps if absent."
    )
    decay: Decay = Field(
        "linear", description="How the step decays from twice its mean size to nothing; `none`: all are as long."
    )
    momentum: float = Field(
        0.75, ge=0, lt=1, description="Share of the last direction that each step keeps, beside its own gradient."
    )
    random_start: bool = Field(True, description="Begin at a random point of the ball.")
    diversity: float = Field(
        0.0,
        ge=0,
        le=1,
        exclude_if=is_unused,
        description="Chance that a query sees an image resized and padded at random, so that what is found carries "
        "over better to other networks (Xie et al. 2019); 0.5 is usual there.",
    )
    smoothing: PositiveInt | None = Field(
        None,
        le=101,
        exclude_if=is_unused,
        description="Side of the Gaussian kernel that smooths the gradient, odd, such as 15: for the same purpose "
        "(Dong et al. 2019); none if absent.",
    )
    trajectory: list[PositiveInt] | None = Field(
        None,
        max_length=MOST_NOTED,
        exclude_if=is_unused,
        description="Steps after which it is noted how each image is classified, such as `[10, 100]`; the last step is "
        "noted too. Gives accuracy against the number of steps out of one attack; under `transfer` and `decay: none`.",
    )

    @property
    def noted_steps(self) -> list[int]:
        return [*self.trajectory, self.steps] if self.trajectory else []

    @property
    def _search(self) -> tuple[int, int, int]:
        points = self.restarts * self.steps
        judged = (self.restarts if self.threat.shared else points) + len(self.trajectory or ())
        return points, judged, self._asked_first(points)

    @model_validator(mode="after")
    def _restarts_differ(self) -> DescentAttack:
        if self.restarts > 1 and not self.random_start:
            raise ValueError("restarts: without a random start all runs are one; set random_start: true, or remove it")
        return self

    @model_validator(mode="after")
    def _kernels_have_a_middle(self) -> DescentAttack:
        if self.smoothing and self.smoothing % 2 == 0:
            raise ValueError(f"smoothing: {self.smoothing} is even, and has no middle; write {self.smoothing + 1}")
        return self

    @model_validator(mode="after")
    def _trajectory_is_of_one_run(self) -> DescentAttack:
        """After k steps the attack must stand where one of k steps ends."""
        if not self.trajectory:
            return self
        if self.trajectory != sorted(set(self.trajectory)) or self.trajectory[-1] >= self.steps:
            raise ValueError(
                f"trajectory: {self.trajectory} do not rise towards the last of {self.steps} steps; write [10, 100]"
            )
        if not self.threat.shared:
            raise ValueError(
                f"trajectory: is of attacks on a bare classifier, and the threat is {self.threat.name}; remove it, or "
                "set threat: transfer"
            )
        if self.decay != "none":
            raise ValueError(f"trajectory: needs steps of one size, and the decay is {self.decay}; set decay: none")
        if self.restarts > 1:
            raise ValueError("trajectory: is of one run; remove restarts")
        if self.diversity:
            raise ValueError("trajectory: is of queries that see the images as they are; remove diversity")
        return self


class PgdAttack(DescentAttack):
    """Projected gradient descent in the L-infinity ball (Madry et al. 2018)."""

    norm: ClassVar[Norm] = "Linf"
    method: Literal["pgd"] = Field(description="Steps along the gradient's sign, projected into the ball.")


class PgdL2Attack(DescentAttack):
    """Projected gradient descent in the L2 ball."""

    norm: ClassVar[Norm] = "L2"
    method: Literal["pgdl2"] = Field(description="Steps along the normalised gradient, projected into the L2 ball.")


class ApgdAttack(SteppedAttack):
    """Auto-PGD (Croce and Hein 2020)."""

    method: Literal["apgd"] = Field(description="PGD whose step size adapts to its progress.")
    norm: Norm = Field("Linf", description="Norm of the ball.")

    @property
    def _search(self) -> tuple[int, int, int]:
        points = self.restarts * (self.steps + 1)
        return points, points, self._asked_first(points)


class SquareAttack(TargetedAttack):
    """Random search with square patches, without gradients (Andriushchenko et al. 2020)."""

    follows: ClassVar[Follows] = "answers"
    libraries: ClassVar[tuple[str, ...]] = ("torchattacks",)
    method: Literal["square"] = Field(description="Black-box random search by squares.")
    norm: Norm = Field("Linf", description="Norm of the ball.")
    queries: PositiveInt = Field(500, description="Queries per image, each of `draws` draws.")

    @property
    def _search(self) -> tuple[int, int, int]:
        return 0, 0, self.queries + 1


class NesAttack(TargetedAttack):
    """Descent along a gradient that is estimated from answers alone (Ilyas et al. 2018)."""

    follows: ClassVar[Follows] = "answers"
    method: Literal["nes"] = Field(
        description="Black-box descent along a gradient that is estimated from answers around each point."
    )
    norm: Norm = Field("Linf", description="Norm of the ball.")
    loss: Literal["margin", "ce"] = Field("margin", description="Loss to maximise, see pgd.")
    steps: PositiveInt = Field(20, description="Steps.")
    directions: PositiveInt = Field(
        24, description="Random directions per step, each asked about at both of its ends under one draw."
    )
    smoothing: Number = Field(
        0.25, gt=0, le=1, description="How far from the point answers are asked for, as a share of eps."
    )
    step_size: Number | None = Field(
        None, gt=0, le=LARGEST_STEP, description="Mean size of a step, pixel units; 10 eps / steps if absent."
    )
    decay: Decay = Field("linear", description="How the step decays, see pgd.")
    momentum: float = Field(0.75, ge=0, lt=1, description="Share of the last direction that each step keeps, see pgd.")
    early_leaving: bool = Field(True, description="Behind a defence an image that is broken gets no more queries.")

    @property
    def _search(self) -> tuple[int, int, int]:
        return 0, 1 if self.threat.shared else self.steps, 2 * self.directions * self.steps

    @model_validator(mode="after")
    def _one_draw_a_direction(self) -> NesAttack:
        if self.draws > 1:
            raise ValueError("draws: each direction of nes has a draw of its own; raise directions, and remove draws")
        return self


class RandomSignAttack(KnownAttack):
    """The control: a random corner of the ball, blind to the victim."""

    norm: ClassVar[Norm] = "Linf"
    follows: ClassVar[Follows] = "nothing"
    control: ClassVar[bool] = True
    target: ClassVar[None] = None

    method: Literal["random_sign"] = Field(description="Plus or minus eps at each pixel, by a fair coin.")

    @property
    def _search(self) -> tuple[int, int, int]:
        return 0, 0, 0


class PythonAttack(Brought, Attack, extra="allow"):
    """An attack of your own: a module with `build(attack, victim, classes, seed)`, which returns the search.

    The module's own model, a class that derives from this one, may set other defaults.
    """

    method: Literal["python"] = Field(description="A module of your own, see README.md.")
    norm: Norm = Field("Linf", description="Norm of the ball.")
    target: Literal["random"] | None = Field(
        None, description="`random`: the search is given one wrong class of each image; the right one if absent."
    )
    control: bool = Field(False, description="It is no search: others must leave less than it.")
    gradients: Count = Field(
        20, description="Queries with gradient per image, at most; 0 for an attack that follows none."
    )
    answers: Count = Field(0, description="Queries without gradient per image, at most.")

    @property
    def needs(self) -> Needs:
        return {**self.uses, **self.threat.needs}

    @property
    def follows(self) -> Follows:
        return "gradients" if self.gradients else "answers" if self.answers else "nothing"

    @property
    def _search(self) -> tuple[int, int, int]:
        return self.gradients, 0, self.answers


AnyAttack = Annotated[
    FgsmAttack | PgdAttack | PgdL2Attack | ApgdAttack | SquareAttack | NesAttack | RandomSignAttack | PythonAttack,
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
