"""Cells of a study's grid, the stacks that they need, and their places under `results/<study>/`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

from assay.study.attacks import Attack
from assay.study.fields import SELECTED, Level
from assay.study.model import Study, same_level
from assay.study.probing import follows_gradients

CLEAN = "clean"
UNDEFENDED = "undefended"
MAX_LEVELS = 32  # grey levels that people write as such
OTHER = "@"  # in the name of an attack that was made on another classifier


@dataclass(frozen=True)
class Defence:
    """A purifier at one sigma, or none. The sigma may be `selected`, which no number is known for when planning."""

    purifier: str | None = None
    sigma: Level = 0.0

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


@dataclass(frozen=True)
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


def defends(study: Study, defence: str, sigma: Level) -> bool:
    """Whether the defence of a name does anything: without noise, most purifiers are the identity."""
    return defence != Defence().name and (sigma != 0 or not study.purifiers[defence].identity_at_zero)


def eps_token(eps: float) -> str:
    """An eps as part of a path: `2_255` where 255 eps is whole, else its decimals."""
    levels = round(255 * eps)
    if 0 < levels <= 255 and math.isclose(255 * eps, levels, rel_tol=1e-9):
        return f"{levels}_255"
    return f"{eps:.10g}"


def eps_label(eps: float) -> str:
    """An eps as people write it: `8/255` where it is a few grey levels, else its decimals."""
    return eps_token(eps).replace("_", "/") if eps <= MAX_LEVELS / 255 else f"{eps:.10g}"


def sigma_token(sigma: Level) -> str:
    """A sigma as part of a path: its decimals, or `selected`."""
    return sigma if sigma == SELECTED else f"{sigma:.10g}"


def defence_at(place: str) -> Defence:
    """The defence of a cell, from the place of its scores."""
    purifier, token = place.split("/")[-2:]
    level = token.removeprefix("sigma-")
    return Defence() if purifier == "none" else Defence(purifier, level if level == SELECTED else float(level))


def attack_at(folder: str) -> str | None:
    """The name of the attack that made the images in a study's folder, purified or not; None for clean images."""
    found = re.search(r"(?:^|/)(?:adversarial|purified)/[^/]+/([^/]+)/eps-", folder)
    return found[1] if found else None


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
                    for source in block.sources or [classifier]:
                        for cell in _attacked_cells(study.attacks[name], source, name, eps, defences):
                            found[replace(cell, classifier=classifier)] = None
    return list(found)


@dataclass(frozen=True)
class Sweep:
    """The cells that the study's sigma is chosen from: clean and attacked, by the sigmas of its selection."""

    sigmas: list[float]
    clean: list[Cell]
    attacked: list[Cell]

    @property
    def cells(self) -> list[Cell]:
        return [*self.clean, *self.attacked]


def sweep(study: Study) -> Sweep:
    """The sweep of a study's selection; empty where it has none."""
    chosen = study.selection
    if chosen is None:
        return Sweep([], [], [])
    defences = [Defence(chosen.purifier, sigma) for sigma in chosen.sigmas]
    found = _attacked_cells(study.attacks[chosen.attack], chosen.classifier, chosen.attack, chosen.eps, defences)
    return Sweep(
        chosen.sigmas,
        [Cell(chosen.classifier, None, defence) for defence in defences],
        [cell for cell in found if cell.defence.purifier],
    )


@dataclass(frozen=True)
class Smoothed:
    """A defended classifier that is certified: the vote of a classifier over all draws of a defence."""

    classifier: str
    defence: Defence

    @property
    def path(self) -> str:
        """The place of its certificates, below `certificates/`."""
        return f"{self.classifier}/{self.defence.path}"


def smoothed(study: Study) -> list[Smoothed]:
    """All defended classifiers that are certified, in the order of the config; none unless the study asks for it."""
    chosen = study.certificates
    if chosen is None:
        return []
    return [
        Smoothed(classifier, Defence(name, sigma))
        for classifier in chosen.classifiers or study.classifiers
        for name in chosen.purifiers or study.purifiers
        for sigma in _only(study.purifiers[name].sigmas, chosen.sigmas)
    ]


def attacked_stacks(study: Study) -> list[Attacked]:
    """All adversarial stacks of test images, each once."""
    return list(dict.fromkeys(cell.attacked for cell in cells(study) if cell.attacked))


def probed_stacks(study: Study) -> list[Attacked]:
    """The adversarial stacks of test images that are probed; none unless the study asks for it."""
    if not study.checks.probes:
        return []
    checks = study.checks
    return [
        attacked
        for attacked in attacked_stacks(study)
        if follows_gradients(study.attacks[attacked.attack])
        and (checks.attacks is None or attacked.attack in checks.attacks)
        and _only([attacked.eps], checks.eps)
    ]


def followed_stacks(study: Study) -> list[Attacked]:
    """The adversarial stacks of test images whose attacks tell how far they were after some of their steps."""
    return [attacked for attacked in attacked_stacks(study) if study.attacks[attacked.attack].noted_steps]


def fine_tuned(study: Study) -> dict[str, list[Cell]]:
    """The cells that rest on each diffusion that goes on from another one, by its name."""
    found: dict[str, list[Cell]] = {}
    for cell in cells(study):
        needs = study.purifiers[cell.defence.purifier].needs.values() if cell.defence.purifier else ()
        for kind, name in needs:
            if kind == "diffusion" and getattr(study.diffusions[name], "start", None):
                found.setdefault(name, []).append(cell)
    return found


def _attacked_cells(attack: Attack, classifier: str, name: str, eps: float, defences: list[Defence]) -> list[Cell]:
    """A transfer attack makes one stack, judged against no defence and every defence; any other, one a defence."""
    if attack.threat.shared:
        attacked = Attacked(classifier, name, eps, Defence())
        return [Cell(classifier, attacked, defence) for defence in [Defence(), *defences]]
    return [Cell(classifier, Attacked(classifier, name, eps, defence), defence) for defence in defences]


def _only(values: list[Level], wanted: list[Level] | None) -> list[Level]:
    if wanted is None:
        return values
    return [value for value in values if any(same_level(value, other) for other in wanted)]


def rows(study: Study) -> list[dict[str, Any]]:
    """What the summary says of each cell beside its scores, and the place of its scores."""
    return [_row(study, cell) | {"scores": cell.path} for cell in cells(study)]


def _row(study: Study, cell: Cell) -> dict[str, Any]:
    attacked = cell.attacked
    attack = study.attacks[attacked.attack] if attacked else None
    return {
        "classifier": cell.classifier,
        "attack": _attack_name(cell) if attacked else "none",
        "threat": attack.threat.name if attack else "none",
        "norm": attack.ball if attack else "none",
        "eps": attacked.eps if attacked else 0.0,
        "defence": cell.defence.name,
        "sigma": cell.defence.sigma,
    }


def _attack_name(cell: Cell) -> str:
    """The attack's name in the summary: `pgd`, or `pgd@resnet` on a classifier that it was not made on."""
    attacked = cell.attacked
    own = attacked.classifier == cell.classifier
    return attacked.attack if own else f"{attacked.attack}{OTHER}{attacked.classifier}"


def attack_of(study: Study, name: str) -> Attack:
    """The attack of a name in the summary."""
    return study.attacks[name.split(OTHER)[0]]
