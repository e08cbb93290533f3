"""The config's models of threats: how much of the defence an attacker can use. One model and one module a threat.

All that is said of a threat stands in its model: what the attacker knows, how the victim answers, what a query costs,
and the words of the report. The victim is made by its module, `assay.attacks.threats.<threat>` or a user's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args

from pydantic import BeforeValidator, Discriminator, Field

from assay.study.fields import Brought, Model, PositiveInt


class Words(NamedTuple):
    """What the report says of a threat; a change of words changes no result, and no fingerprint."""

    clause: str  # follows a number: "… keeps 90% when the attacker does not know of it"
    meaning: str  # the glossary's line


class Threat(Model):
    """What every threat has.

    - `rank`: the attacker's knowledge of the defence; of two ranks the higher must not leave more. None: not ranked.
    - `shared`: the attack is made on the bare classifier, and its images are shown to every defence.
    - `fresh`: each query meets fresh noise of the defence.
    - `gradient`: gradients flow, so that attacks can follow them.
    - `answers`: attacks that use no gradient are of use under it, and not the same as under `blackbox`.
    - `exact`: queries, and their gradients if there are any, go through just what the attack is judged on.
    - `backward`: the gradient of a query is that of its values; it costs a pass backward through the purifier.
    - `steps`: of the purifier that queries go through; None for its own.
    - `judged_draws`: the images are judged on so many draws of the evaluation, the first ones, whose noise the attacker
      knows; None for all draws, of which the attacker knows none.
    - `clause` and `meaning`: what the report says.
    """

    @property
    def name(self) -> str:
        """The threat's name in tables and reports."""
        return self.method


class KnownThreat(Threat):
    """A threat whose victim is a module of the library."""

    rank: ClassVar[int | None] = None
    shared: ClassVar[bool] = False
    fresh: ClassVar[bool] = False
    gradient: ClassVar[bool] = True
    answers: ClassVar[bool] = True
    exact: ClassVar[bool] = True
    backward: ClassVar[bool] = True
    judged_draws: ClassVar[int | None] = None
    words: ClassVar[Words]

    @property
    def implementation(self) -> str:
        """The module that builds the victim."""
        return f"assay.attacks.threats.{self.method}"

    @property
    def clause(self) -> str:
        return self.words.clause

    @property
    def meaning(self) -> str:
        return self.words.meaning


class OwnSteps(KnownThreat):
    """A threat whose queries go through the purifier's own steps."""

    steps: ClassVar[None] = None


class TransferThreat(OwnSteps):
    """The attacker knows the bare classifier and nothing of the defence."""

    rank = 0
    shared = True
    words = Words(
        clause="when the attacker does not know of it",
        meaning="The attack is made against the bare classifier, then shown to every defence. "
        "The weakest threat: the attacker does not know that there is a defence.",
    )

    method: Literal["transfer"] = Field("transfer", description=words.meaning)


class BlackboxThreat(OwnSteps):
    """The attacker sees the answers of the defended classifier, averaged over fresh draws."""

    fresh = True
    gradient = False
    words = Words(
        clause="when the attacker can only query it",
        meaning="The attacker sees the answers of the defended classifier and no gradient.",
    )

    method: Literal["blackbox"] = Field("blackbox", description=words.meaning)


class BpdaThreat(OwnSteps):
    """The purifier is treated as the identity in the backward pass (Athalye et al. 2018)."""

    rank = 1
    fresh = True
    answers = False
    exact = False
    backward = False
    words = Words(
        clause="when the attacker attacks it with the purifier's gradient replaced by the identity",
        meaning="The purifier is treated as the identity in the backward pass; the forward pass goes through it.",
    )

    method: Literal["bpda"] = Field("bpda", description=words.meaning)


class SurrogateThreat(KnownThreat):
    """The exact gradient through the purifier with fewer steps (Lee and Kim 2023), judged on the true purifier."""

    rank = 1
    fresh = True
    exact = False
    words = Words(
        clause="when the attacker attacks through a cheaper stand-in for it",
        meaning="The attack follows the gradient of the same purifier with fewer steps.",
    )

    method: Literal["surrogate"] = Field("surrogate", description=words.meaning)
    steps: PositiveInt = Field(description="Steps of the purifier that stands in for the true one.")


class AdaptiveThreat(OwnSteps):
    """The exact gradient through the defended classifier, averaged over fresh draws (EOT)."""

    rank = 2
    fresh = True
    answers = False
    words = Words(
        clause="when the attacker attacks through it",
        meaning="The attack follows the exact gradient through purifier and classifier, averaged over fresh draws.",
    )

    method: Literal["adaptive"] = Field("adaptive", description=words.meaning)


class LockedThreat(OwnSteps):
    """The attacker knows the noise of the evaluation's draw 0, on which alone the images are judged."""

    rank = 3
    judged_draws = 1
    words = Words(
        clause="when the attacker attacks through it and knows its noise",
        meaning="The attack follows the exact gradient, and the attacker knows the noise of the one draw that is "
        "evaluated.",
    )

    method: Literal["locked"] = Field("locked", description=words.meaning)


class PythonThreat(Brought, Threat, extra="allow"):
    """A threat of your own: a module with `build(spec, inputs)`, which returns a `Victim`.

    The module's own model, a class that derives from this one, may set other defaults.
    """

    method: Literal["python"] = Field(description="A module of your own, see README.md.")
    rank: int | None = Field(
        None,
        description="The attacker's knowledge: `transfer` 0, `bpda` and `surrogate` 1, `adaptive` 2, `locked` 3; "
        "not compared with other threats if absent.",
    )
    shared: bool = Field(
        False, description="The attack is made on the bare classifier, and its images are shown to every defence."
    )
    fresh: bool = Field(True, description="Each query meets fresh noise of the defence.")
    gradient: bool = Field(True, description="Gradients flow through the victim.")
    answers: bool = Field(True, description="Attacks that use no gradient suit it too.")
    exact: bool = Field(
        False, description="Queries and gradients go through exactly the defended classifier that is evaluated."
    )
    backward: bool = Field(
        True, description="The gradient is that of the victim's values; probes compare the two by finite differences."
    )
    steps: PositiveInt | None = Field(
        None, description="Steps of the purifier that queries go through; its own if absent."
    )
    judged_draws: PositiveInt | None = Field(
        None,
        description="The attacker knows the noise of so many draws of the evaluation, the first ones, and the images "
        "are judged on these alone; on all draws if absent.",
    )
    clause: str = Field(
        "under a threat of your own", description="What the report says after a number: `when the attacker …`."
    )
    meaning: str = Field("A threat of your own.", description="What the report's glossary says.")

    @property
    def name(self) -> str:
        return Path(self.module).stem


_Threats = TransferThreat | BlackboxThreat | BpdaThreat | SurrogateThreat | AdaptiveThreat | LockedThreat | PythonThreat
KNOWN: dict[str, type[KnownThreat]] = {
    kind.model_fields["method"].default: kind for kind in get_args(_Threats) if issubclass(kind, KnownThreat)
}


def spell_out(value: Any) -> Any:
    """A threat that is one word, as the keys that it stands for."""
    if not isinstance(value, str):
        return value
    if value not in KNOWN:
        raise ValueError(f"'{value}' is not among {', '.join(KNOWN)}; for one of your own write its keys")
    return {"method": value}


AnyThreat = Annotated[
    Annotated[_Threats, Discriminator("method")],
    BeforeValidator(spell_out, json_schema_input_type=Literal[tuple(KNOWN)] | _Threats),
]
