"""The study: one config file as a set of models. Imports no torch, so that planning is quick on a login node."""

from __future__ import annotations

import difflib
import math
from typing import Any

from pydantic import Field, model_validator

from assay.study.attacks import AnyAttack
from assay.study.classifiers import AnyClassifier
from assay.study.diffusions import AnyDiffusion
from assay.study.evaluation import Evaluation
from assay.study.fields import Model, Name, Number, PositiveInt, Sigma
from assay.study.images import Images
from assay.study.purifiers import AnyPurifier


class Crossing(Model):
    """A block of the grid: these attacks on these classifiers against these purifiers."""

    classifiers: list[Name] | None = Field(None, description="Classifiers of this block; all if absent.")
    attacks: list[Name] | None = Field(None, description="Attacks of this block; all if absent.")
    purifiers: list[Name] | None = Field(None, description="Purifiers of this block; all if absent.")
    sigmas: list[Sigma] | None = Field(None, description="Only these of the purifiers' sigmas; all if absent.")
    eps: list[Number] | None = Field(None, description="Only these of the attacks' eps; all if absent.")


class Study(Model):
    """A study: one config file and everything under `results/<study>/`."""

    study: Name = Field(description="The study's name, and its folder's under `results/`.")
    seed: int = Field(0, ge=0, description="Seed of everything random.")
    threads: PositiveInt = Field(2, description="CPU threads of a training stage (last bits may depend on it).")
    images: Images = Field(description="The data set.")
    classifiers: dict[Name, AnyClassifier] = Field(min_length=1, description="Classifiers by name.")
    diffusions: dict[Name, AnyDiffusion] = Field({}, description="Diffusions by name.")
    purifiers: dict[Name, AnyPurifier] = Field({}, description="Purifiers by name.")
    attacks: dict[Name, AnyAttack] = Field({}, description="Attacks by name.")
    cross: list[Crossing] = Field([Crossing()], description="Blocks of the grid; everything with everything if absent.")
    evaluation: Evaluation = Field(description="What is measured in every cell.")

    @model_validator(mode="after")
    def _names_exist(self) -> Study:
        for name, purifier in self.purifiers.items():
            diffusion = getattr(purifier, "diffusion", None)
            if name == "none":
                raise ValueError("purifiers.none: the name stands for the undefended classifier; choose another")
            if diffusion is not None:
                _require(f"purifiers.{name}.diffusion", diffusion, self.diffusions)
                top = self.diffusions[diffusion].max_sigma
                if top is not None and max(purifier.sigmas) > top * (1 + 1e-9):
                    raise ValueError(
                        f"purifiers.{name}.sigmas: {max(purifier.sigmas):g} is above max_sigma {top:g} of diffusion "
                        f"'{diffusion}', which is not trained there; raise max_sigma or lower the sigma"
                    )
            _require_distinct(f"purifiers.{name}.sigmas", purifier.sigmas)
        for name, attack in self.attacks.items():
            if name in ("none", "clean"):
                raise ValueError(f"attacks.{name}: the name stands for images without attack; choose another")
            _require_distinct(f"attacks.{name}.eps", attack.eps)
        for index, block in enumerate(self.cross):
            for key in ("classifiers", "attacks", "purifiers"):
                for name in getattr(block, key) or []:
                    _require(f"cross.{index}.{key}", name, getattr(self, key))
            _require_known(f"cross.{index}.sigmas", block.sigmas, self._sigmas_of(block))
            _require_known(f"cross.{index}.eps", block.eps, self._eps_of(block))
        return self

    def _sigmas_of(self, block: Crossing) -> set[float]:
        names = self.purifiers if block.purifiers is None else block.purifiers
        return {sigma for name in names for sigma in self.purifiers[name].sigmas}

    def _eps_of(self, block: Crossing) -> set[float]:
        names = self.attacks if block.attacks is None else block.attacks
        return {eps for name in names for eps in self.attacks[name].eps}


def _require(key: str, name: str, known: dict[str, Any]) -> None:
    if name not in known:
        raise ValueError(f"{key}: '{name}' is not among {sorted(known)}{suggest(name, known)}")


def _require_known(key: str, wanted: list[float] | None, known: set[float]) -> None:
    for value in wanted or []:
        if not any(math.isclose(value, other, rel_tol=1e-9) for other in known):
            raise ValueError(
                f"{key}: {value:g} is not among {[float(f'{v:.4g}') for v in sorted(known)]} of this block"
            )


def _require_distinct(key: str, values: list[float]) -> None:
    tokens = [f"{value:.10g}" for value in values]
    for token in tokens:
        if tokens.count(token) > 1:
            raise ValueError(f"{key}: {token} stands there twice; remove one")


def suggest(word: str, known: Any) -> str:
    """What to add to a message when a known word is near the one given."""
    near = difflib.get_close_matches(word, [str(key) for key in known], n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""
