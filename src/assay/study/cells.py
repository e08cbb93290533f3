"""Cells of a study's grid, the stacks that they need, and their places under `results/<study>/`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from assay.study.attacks import Attack
from assay.study.model import Study

CLEAN = "clean"
UNDEFENDED = "undefended"


@dataclass(frozen=True, order=True)
class Defence:
    """A purifier at one sigma, or none."""

    purifier: str | None = None
    sigma: float = 0.0

    @property
    def name(self) -> str:
        return self.purifier or "none"

    @property
    def path(self) -> str:
        return f"{self.name}/sigma-{sigma_token(self.sigma)}"

    @property
    def victim(self) -> str:
        """The name of the victim that this defence makes of a classifier."""
        return f"{self.purifier}-{sigma_token(self.sigma)}" if self.purifier else UNDEFENDED


@dataclass(frozen=True, order=True)
class Attacked:
    """An adversarial stack: one attack at one eps against one victim."""

    classifier: str
    attack: str
    eps: float
    victim: Defence

    @property
    def path(self) -> str:
        return f"{self.classifier}/{self.attack}/eps-{eps_token(self.eps)}/{self.victim.victim}"


@dataclass(frozen=True)
class Cell:
    """One (classifier, attack, eps, defence, sigma) of the grid; `attacked` is None for clean images."""

    classifier: str
    attacked: Attacked | None
    defence: Defence

    @property
    def stack(self) -> str:
        """The place of the images under attack, below `adversarial/`; `clean` for the clean ones."""
        return self.attacked.path if self.attacked else CLEAN

    @property
    def path(self) -> str:
        """The place of the cell's scores, below `scores/`."""
        return f"{self.classifier}/{self.stack}/{self.defence.path}"


def eps_token(eps: float) -> str:
    """An eps as part of a path: `2_255` where 255 eps is whole, else its decimals."""
    levels = round(255 * eps)
    if 0 < levels <= 255 and math.isclose(255 * eps, levels, rel_tol=1e-9):
        return f"{levels}_255"
    return f"{eps:.10g}"


def sigma_token(sigma: float) -> str:
    """A sigma as part of a path: its decimals."""
    return f"{sigma:.10g}"


def cells(study: Study) -> list[Cell]:
    """All cells of a study, each once, in the order of the config.

    Every block has its undefended and its clean cells too: no number stands without its control.
    """
    found: dict[Cell, None] = {}
    for block in study.cross:
        purifiers = study.purifiers if block.purifiers is None else block.purifiers
        defences = [
            Defence(name, sigma) for name in purifiers for sigma in _only(study.purifiers[name].sigmas, block.sigmas)
        ]
        attacks = study.attacks if block.attacks is None else block.attacks
        for classifier in study.classifiers if block.classifiers is None else block.classifiers:
            for defence in [Defence(), *defences]:
                found[Cell(classifier, None, defence)] = None
            for name in attacks:
                for eps in _only(study.attacks[name].eps, block.eps):
                    for cell in _attacked_cells(study.attacks[name], classifier, name, eps, defences):
                        found[cell] = None
    return list(found)


def attacked_stacks(study: Study) -> list[Attacked]:
    """All adversarial stacks of a study, each once."""
    return list(dict.fromkeys(cell.attacked for cell in cells(study) if cell.attacked))


def _attacked_cells(attack: Attack, classifier: str, name: str, eps: float, defences: list[Defence]) -> list[Cell]:
    """A transfer attack makes one stack, judged against no defence and every defence; any other, one a defence."""
    if attack.threat == "transfer":
        attacked = Attacked(classifier, name, eps, Defence())
        return [Cell(classifier, attacked, defence) for defence in [Defence(), *defences]]
    return [Cell(classifier, Attacked(classifier, name, eps, defence), defence) for defence in defences]


def _only(values: list[float], wanted: list[float] | None) -> list[float]:
    if wanted is None:
        return values
    return [value for value in values if any(math.isclose(value, other, rel_tol=1e-9) for other in wanted)]
