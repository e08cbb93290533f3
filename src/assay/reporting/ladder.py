"""What the study's config says of each row of its summary: how much the attacker knew, and whether it is a control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from assay.study.model import Study

# Adapter until the threats' models say this themselves.
_THREATS = {
    "transfer": (0, False, "when the attacker does not know the defence", "The attack is made against the bare classifier, then shown to the defended one."),
    "blackbox": (1, True, "when the attacker can only query the defence", "The attacker sees the defended classifier's answers and no gradient."),
    "bpda": (1, True, "when the attacker treats the purifier as the identity in the backward pass", "The forward pass goes through the purifier, the backward pass around it."),
    "surrogate": (1, True, "when the attacker attacks through a cheaper purifier", "The attack follows the gradient of a purifier with fewer steps."),
    "adaptive": (2, True, "when the attacker attacks through the defence", "The attack follows the exact gradient through purifier and classifier, averaged over fresh draws."),
    "locked": (3, False, "when the attacker attacks through the defence and knows its noise", "The defence's noise is fixed and known to the attacker."),
}  # fmt: skip
OTHER = "@"  # in the name of an attack that was made on another classifier


@dataclass(frozen=True)
class Threat:
    name: str
    rank: int | None
    fresh: bool
    clause: str
    meaning: str


def threat_of(study: Study, attack: str) -> Threat:
    """The threat of an attack of the summary."""
    name = study.attacks[attack.split(OTHER)[0]].threat
    rank, fresh, clause, meaning = _THREATS[name]
    return Threat(name, rank, fresh, clause, meaning)


def ladder(study: Study) -> list[Threat]:
    """The study's threats, each once, those first whose attacker knows least; last those that are no rung."""
    found = {threat.name: threat for threat in (threat_of(study, attack) for attack in study.attacks)}
    return sorted(found.values(), key=lambda threat: (threat.rank is None, threat.rank or 0))


def style_of(study: Study) -> dict[str, int]:
    """The style of each threat's lines and marks, by its name: its place in the ladder."""
    return {threat.name: place for place, threat in enumerate(ladder(study))}


def with_knowledge(summary: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The summary with what the config knows of each row.

    `rank`: how much its attacker knows of the defence, not a number for clean images; `fresh`: whether the noise is
    fresh at each query; `control`: whether the attack is blind to its victim; `family`: the attacks that share method
    and norm.
    """
    attacked = {name: name for name in summary["attack"].unique() if name != "none"}
    threats = {name: threat_of(study, name) for name in attacked}
    methods = {name: study.attacks[name.split(OTHER)[0]].method for name in attacked}

    def of(column: pd.Series, found: dict[str, Any], otherwise: Any) -> list[Any]:
        return [found.get(name, otherwise) for name in column]

    attack = summary["attack"]
    return summary.assign(
        rank=pd.to_numeric(pd.Series(of(attack, {n: t.rank for n, t in threats.items()}, None), summary.index)),
        fresh=of(attack, {name: threat.fresh for name, threat in threats.items()}, False),
        control=of(attack, {name: method == "random_sign" for name, method in methods.items()}, False),
        family=of(attack, methods, "none"),
    )


def noise_alone(study: Study) -> set[str]:
    """The purifiers that only add noise: the control of those that take it away again."""
    return {name for name, purifier in study.purifiers.items() if purifier.method == "noise"}
