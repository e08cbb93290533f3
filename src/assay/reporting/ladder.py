"""What the study's config says of each row of its summary: its threat, and whether it is a control."""

from __future__ import annotations

import pandas as pd

from assay.planning.cells import attack_of
from assay.study.model import Study
from assay.study.threats import Threat


def ladder(study: Study) -> list[Threat]:
    """The study's threats, each once, those first whose attacker knows least; last those that are not ranked."""
    found = {attack.threat.name: attack.threat for attack in study.attacks.values()}
    return sorted(found.values(), key=lambda threat: (threat.rank is None, threat.rank or 0))


def style_of(study: Study) -> dict[str, int]:
    """The style of each threat's lines and marks, by its name: its place in the ladder."""
    return {threat.name: place for place, threat in enumerate(ladder(study))}


def with_knowledge(summary: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The summary with what the config knows of each row.

    `rank` (not a number where there is none), `shared` and `fresh` are the threat's; `place` is the threat's in the
    ladder; `control` is whether the attack is a control; `family` is its method, or its name if it is a user's own.
    """
    attacks = [None if name == "none" else attack_of(study, name) for name in summary["attack"]]
    places = style_of(study)
    return summary.assign(
        rank=pd.to_numeric(pd.Series([attack and attack.threat.rank for attack in attacks], summary.index)),
        place=[places[attack.threat.name] if attack else -1 for attack in attacks],
        shared=[bool(attack and attack.threat.shared) for attack in attacks],
        fresh=[bool(attack and attack.threat.fresh) for attack in attacks],
        control=[bool(attack and attack.control) for attack in attacks],
        family=[
            name if attack is None or attack.method == "python" else attack.method
            for name, attack in zip(summary["attack"], attacks, strict=True)
        ],
    )


def noise_alone(study: Study) -> set[str]:
    """The purifiers that only add noise: the control of those that take it away again."""
    return {name for name, purifier in study.purifiers.items() if purifier.method == "noise"}
