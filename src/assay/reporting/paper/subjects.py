"""The cells of a study that the paper's figures are about: its four bars, and what an aware attacker leaves of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from assay.reporting.answer import Answer
from assay.reporting.families import TRANSFER
from assay.reporting.read import pick
from assay.reporting.words import defence_label

TITLES = {
    "vanilla": "no defence",
    "noise": "noise alone",
    "trained": "adversarially trained",
    "diffusion": "diffusion",
}


@dataclass(frozen=True)
class Subject:
    """One bar of the paper: its kind, what it is in this study, and its rows of the summary, clean and attacked."""

    kind: str
    name: str
    clean: Any
    attacked: Any

    @property
    def title(self) -> str:
        return TITLES[self.kind]


@dataclass(frozen=True)
class Subjects:
    """What the paper compares, as far as the study has it, under one transfer attack at one eps."""

    attack: str
    eps: float
    by_kind: dict[str, Subject]
    aware: Any  # the cell of the strongest attack that knows of the diffusion defence; None where there is none

    def __getitem__(self, kind: str) -> Subject | None:
        return self.by_kind.get(kind)


def find_subjects(summary: pd.DataFrame, answers: list[Answer], config: dict[str, Any]) -> Subjects | None:
    """The paper's four subjects in this study; None where no purifier was set against a transfer attack.

    The diffusion is the purifier at the selected sigma, else the best under transfer; noise alone has its sigma. The
    vanilla classifier is the one that it defends, the adversarially trained one the first that the study has.
    """
    methods = {
        name: classifier.get("objective", {}).get("method") for name, classifier in config["classifiers"].items()
    }
    trained = [name for name, method in methods.items() if method == "adversarial"]
    answer = next((a for a in answers if a.attack and a.best is not None and a.classifier not in trained), None)
    if answer is None:
        return None
    rows = pick(summary, classifier=answer.classifier)
    attacked = pick(rows, attack=answer.attack, eps=answer.eps)
    defence = _diffusion_cell(attacked, config)
    if defence is None:
        return None
    noise = [name for name, purifier in config["purifiers"].items() if purifier["method"] == "noise"]
    found = [
        _subject("vanilla", answer.classifier, rows, answer, "none", 0.0),
        *(_subject("noise", name, rows, answer, name, defence.sigma) for name in noise[:1]),
        *(_subject("trained", name, pick(summary, classifier=name), answer, "none", 0.0) for name in trained[:1]),
        _subject("diffusion", "", rows, answer, defence.defence, defence.sigma),
    ]
    return Subjects(
        answer.attack,
        float(answer.eps),
        {subject.kind: subject for subject in found if subject is not None},
        _aware(rows, defence),
    )


def _diffusion_cell(attacked: pd.DataFrame, config: dict[str, Any]) -> Any:
    """The row of the diffusion defence that stands for the study."""
    diffusing = {name for name, purifier in config["purifiers"].items() if purifier.get("diffusion")}
    rows = attacked[attacked["defence"].isin(diffusing)]
    selected = rows[rows["scores"].str.endswith("/sigma-selected")]
    rows = rows if selected.empty else selected
    return None if rows.empty else next(rows.loc[[rows["accuracy"].idxmax()]].itertuples())


def _subject(kind: str, name: str, rows: pd.DataFrame, answer: Answer, defence: str, sigma: float) -> Subject | None:
    clean = next(pick(rows, attack="none", defence=defence, sigma=sigma).itertuples(), None)
    attacked = next(pick(rows, attack=answer.attack, eps=answer.eps, defence=defence, sigma=sigma).itertuples(), None)
    if clean is None or attacked is None:
        return None
    return Subject(kind, name if defence == "none" else defence_label(defence, sigma), clean, attacked)


def _aware(rows: pd.DataFrame, defence: Any) -> Any:
    known = pick(rows, defence=defence.defence, sigma=defence.sigma, eps=defence.eps, norm=defence.norm)
    known = known[~known["threat"].isin([TRANSFER, "none"])]
    return None if known.empty else next(known.loc[[known["accuracy"].idxmin()]].itertuples())
