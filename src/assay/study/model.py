"""The study: one config file as a set of models. Imports no torch, so that planning is quick on a login node."""

from __future__ import annotations

import difflib
import graphlib
import math
from typing import Any, Literal

from pydantic import Field, model_validator

from assay.study.attacks import AnyAttack
from assay.study.certificates import CERTIFIED, Certificates
from assay.study.checks import Checks
from assay.study.classifiers import AnyClassifier
from assay.study.diffusions import AnyDiffusion
from assay.study.evaluation import Evaluation
from assay.study.fields import SELECTED, Level, Model, Name, Number, Seed
from assay.study.fitting import check_fit, check_levels
from assay.study.images import Images
from assay.study.purifiers import AnyPurifier
from assay.study.seeds import with_all_seeds
from assay.study.selection import Selection
from assay.study.sources import Split

RECORDED, STRICT = "recorded", "strict"  # what other versions of libraries mean
RESERVED_ROLES = (
    "images",
    "classifier",
    "train",
    "validation",
    "attacked",
    "selected",
    "index",
    "roles",
    "wanted",
)  # of the stages


class Crossing(Model):
    """A block of the grid: these attacks on these classifiers against these purifiers."""

    classifiers: list[Name] | None = Field(None, min_length=1, description="Classifiers of this block; all if absent.")
    attacks: list[Name] | None = Field(None, description="Attacks of this block; all if absent.")
    purifiers: list[Name] | None = Field(None, description="Purifiers of this block; all if absent.")
    sources: list[Name] | None = Field(
        None,
        description="Classifiers that the attacks of this block were made on, to see how they carry over to the "
        "block's; transfer attacks only. Each classifier's own if absent.",
    )
    sigmas: list[Level] | None = Field(None, description="Only these of the purifiers' sigmas; all if absent.")
    eps: list[Number] | None = Field(None, description="Only these of the attacks' eps; all if absent.")


class Study(Model):
    """A study: one config file and everything under `results/<study>/`."""

    study: Name = Field(description="The study's name, and its folder's under `results/`.")
    seed: Seed = Field(0, description="Seed of everything random.")
    threads: int = Field(
        2, gt=0, le=1024, exclude=True, description="CPU threads of a training stage (last bits may depend on it)."
    )
    images: Images = Field(description="The data set.")
    classifiers: dict[Name, AnyClassifier] = Field(min_length=1, description="Classifiers by name.")
    diffusions: dict[Name, AnyDiffusion] = Field({}, description="Diffusions by name.")
    purifiers: dict[Name, AnyPurifier] = Field({}, description="Purifiers by name.")
    attacks: dict[Name, AnyAttack] = Field({}, description="Attacks by name.")
    cross: list[Crossing] = Field(
        [Crossing()], min_length=1, description="Blocks of the grid; everything with everything if absent."
    )
    selection: Selection | None = Field(None, description="How `selected` sigmas are chosen, if any are.")
    evaluation: Evaluation = Field(description="What is measured in every cell.")
    certificates: Certificates | None = Field(
        None,
        exclude_if=lambda value: value is None,
        description="Which smoothed classifiers are certified, if any are.",
    )
    checks: Checks = Field(Checks(), description="Which checks of the attacks are run that need the networks.")
    versions: Literal["recorded", "strict"] = Field(
        RECORDED,
        description="What other versions of the libraries mean: `recorded`, manifests tell of them; `strict`, all is "
        "made anew when a pinned version changes.",
    )

    @property
    def counts(self) -> dict[Split, int | None]:
        """Images by split, for the splits that the study has; None is all that is left."""
        counts = {"train": self.images.train, "validation": self.images.validation, "test": self.evaluation.images}
        return counts | ({"selection": self.selection.images} if self.selection else {})

    @property
    def expected_counts(self) -> dict[Split, int]:
        """Images by split, about as many as there will be."""
        others = sum(count or 0 for count in self.counts.values())
        return {split: count or self.images.left(others) for split, count in self.counts.items()}

    @model_validator(mode="before")
    @classmethod
    def _every_seed_has_a_name(cls, config: Any) -> Any:
        return with_all_seeds(config)

    @model_validator(mode="after")
    def _parts_fit_the_images(self) -> Study:
        check_fit(self)
        return self

    @model_validator(mode="after")
    def _names_exist(self) -> Study:
        self._check_needs()
        for name, purifier in self.purifiers.items():
            if name == "none":
                raise ValueError("purifiers.none: the name stands for the undefended classifier; choose another")
            self._require_trained(f"purifiers.{name}.sigmas", purifier.sigmas, purifier)
            if SELECTED in purifier.sigmas and self.selection:
                self._require_trained("selection.sigmas", self.selection.sigmas, purifier)
            if SELECTED in purifier.sigmas and not self.selection:
                raise ValueError(f"purifiers.{name}.sigmas: '{SELECTED}' needs a selection; add the key selection")
            _require_distinct(f"purifiers.{name}.sigmas", purifier.sigmas)
        for name, attack in self.attacks.items():
            if name in ("none", "clean"):
                raise ValueError(f"attacks.{name}: the name stands for images without attack; choose another")
            if getattr(attack, "loss", None) == "dlr" and self.images.classes and len(self.images.classes) < 3:
                raise ValueError(
                    f"attacks.{name}.loss: dlr needs three classes or more, and the images have "
                    f"{len(self.images.classes)}; set loss: margin"
                )
            _require_distinct(f"attacks.{name}.eps", attack.eps)
        for name in self.checks.attacks or []:
            _require("checks.attacks", name, "attacks", self.attacks)
        _require_known("checks.eps", self.checks.eps, {eps for attack in self.attacks.values() for eps in attack.eps})
        if self.selection:
            self._check_selection(self.selection)
        if self.certificates:
            self._check_certificates(self.certificates)
        if asked := self.evaluation.equivalence:
            _require("evaluation.equivalence.reference", asked.reference, "classifiers", self.classifiers)
        for index, block in enumerate(self.cross):
            for key in ("classifiers", "attacks", "purifiers"):
                for name in getattr(block, key) or []:
                    _require(f"cross.{index}.{key}", name, key, getattr(self, key))
            for name in block.sources or []:
                _require(f"cross.{index}.sources", name, "classifiers", self.classifiers)
            for name in (self.attacks if block.attacks is None else block.attacks) if block.sources else []:
                if not self.attacks[name].threat.shared:
                    raise ValueError(
                        f"cross.{index}.sources: attack '{name}' has the threat {self.attacks[name].threat.name}, and "
                        "only transfer attacks carry over to other classifiers; name the block's attacks without it"
                    )
            for name in self.attacks if block.attacks is None else block.attacks:
                self._require_fewer_steps(f"cross.{index}.purifiers", name, block.purifiers)
            _require_known(f"cross.{index}.sigmas", block.sigmas, self._sigmas_of(block))
            _require_known(f"cross.{index}.eps", block.eps, self._eps_of(block))
        return self

    def _check_needs(self) -> None:
        """Every artifact that another one needs exists, and none needs itself, however indirectly."""
        known = {"classifier": self.classifiers, "diffusion": self.diffusions}
        graph = {}
        for section in ("classifiers", "diffusions", "purifiers", "attacks"):
            for name, part in getattr(self, section).items():
                for role, need in part.needs.items():
                    if role in RESERVED_ROLES:
                        raise ValueError(f"{section}.{name}: the role '{role}' is taken; name it otherwise")
                    if need.kind not in known:
                        raise ValueError(
                            f"{section}.{name}.uses.{role}: a {need.kind} is nothing to name; "
                            "write [classifier, NAME] or [diffusion, NAME]"
                        )
                    _require(f"{section}.{name}.{role}", need.name, f"{need.kind}s", known[need.kind])
                graph[section.removesuffix("s"), name] = [tuple(need) for need in part.needs.values()]
        self._require_one_meaning_per_role()
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            circle = " needs ".join(f"{kind}s.{name}" for kind, name in reversed(error.args[1]))
            raise ValueError(f"{circle}: nothing can be made first; break the circle") from None

    def _require_one_meaning_per_role(self) -> None:
        """An attack through a defence reads what both need: one role cannot mean two artifacts."""
        for name, attack in self.attacks.items():
            for other, purifier in self.purifiers.items():
                for role in attack.needs.keys() & purifier.needs.keys():
                    if attack.needs[role] != purifier.needs[role]:
                        raise ValueError(
                            f"attacks.{name}: its role '{role}' means another artifact than in purifier '{other}'; "
                            "give it another name"
                        )

    def _require_fewer_steps(self, key: str, attack: str, purifiers: list[str] | None) -> None:
        """A surrogate is the same purifier with fewer steps: each purifier that it meets must have more."""
        fewer = self.attacks[attack].threat.steps
        for name in (self.purifiers if purifiers is None else purifiers) if fewer else ():
            purifier = self.purifiers[name]
            if not hasattr(purifier, "steps"):
                raise ValueError(
                    f"{key}: the surrogate of attack '{attack}' has fewer steps than its purifier, and '{name}' has no "
                    "steps; list the purifiers that it is to meet"
                )
            if fewer >= (purifier.steps or math.inf):
                raise ValueError(
                    f"attacks.{attack}.threat.steps: {fewer} is no fewer than the {purifier.steps} steps of "
                    f"purifier '{name}'; lower it"
                )

    def _require_trained(self, key: str, sigmas: list[Level], purifier: AnyPurifier) -> None:
        """The diffusion of a purifier, if it has one, is trained as far up as the purifier goes with these sigmas."""
        if not (diffusion := _diffusion_of(purifier)):
            return
        wanted, found = getattr(purifier, "predicts", None), self.diffusions[diffusion].prediction
        if wanted not in (None, found):
            raise ValueError(
                f"{key.rpartition('.')[0]}.diffusion: {purifier.method} follows a diffusion of prediction: {wanted}, "
                f"and '{diffusion}' predicts {found}; name another"
            )
        reach = getattr(purifier, "reach", 1.0)
        sigmas = [sigma if sigma == SELECTED else reach * sigma for sigma in sigmas]
        check_levels(key, sigmas, diffusion, self.diffusions[diffusion])
        top = self.diffusions[diffusion].max_sigma
        highest = max((sigma for sigma in sigmas if sigma != SELECTED), default=0.0)
        if top is not None and highest > top * (1 + 1e-9):
            raise ValueError(
                f"{key}: {highest:g} is above max_sigma {top:g} of diffusion '{diffusion}', which is not trained "
                "there; raise max_sigma or lower the sigma"
            )

    def _check_selection(self, selection: Selection) -> None:
        for key in ("purifier", "classifier", "attack"):
            _require(f"selection.{key}", getattr(selection, key), f"{key}s", getattr(self, f"{key}s"))
        self._require_fewer_steps("selection.purifier", selection.attack, [selection.purifier])
        _require_known("selection.eps", [selection.eps], set(self.attacks[selection.attack].eps))
        _require_distinct("selection.sigmas", selection.sigmas)
        self._require_trained("selection.sigmas", selection.sigmas, self.purifiers[selection.purifier])

    def _check_certificates(self, certificates: Certificates) -> None:
        for name in certificates.classifiers or []:
            _require("certificates.classifiers", name, "classifiers", self.classifiers)
        for name in certificates.purifiers or []:
            _require("certificates.purifiers", name, "purifiers", self.purifiers)
        named = self.purifiers if certificates.purifiers is None else certificates.purifiers
        if not named:
            raise ValueError("certificates.purifiers: the study has none; add one, such as method: noise")
        for name in named:
            if self.purifiers[name].method not in CERTIFIED:
                raise ValueError(
                    f"certificates.purifiers: what '{name}' ({self.purifiers[name].method}) sees of an image is not "
                    f"only the image with noise, and that is what can be certified; list purifiers of the methods "
                    f"{', '.join(CERTIFIED)}"
                )
        known = self._sigmas_of(certificates)
        _require_known("certificates.sigmas", certificates.sigmas, known)
        if 0 in (known if certificates.sigmas is None else certificates.sigmas):
            raise ValueError(
                "certificates.sigmas: at sigma 0 there is no noise, and nothing to certify; list the other sigmas"
            )
        if certificates.images and certificates.images > self.evaluation.images:
            raise ValueError(
                f"certificates.images: {certificates.images} is more than the {self.evaluation.images} test images; "
                "lower it, or raise evaluation.images"
            )

    def _sigmas_of(self, block: Crossing | Certificates) -> set[Level]:
        names = self.purifiers if block.purifiers is None else block.purifiers
        return {sigma for name in names for sigma in self.purifiers[name].sigmas}

    def _eps_of(self, block: Crossing) -> set[float]:
        names = self.attacks if block.attacks is None else block.attacks
        return {eps for name in names for eps in self.attacks[name].eps}


def _diffusion_of(purifier: AnyPurifier) -> str | None:
    """The name of the diffusion that plays the role of that name."""
    need = purifier.needs.get("diffusion")
    return need.name if need and need.kind == "diffusion" else None


def _require(key: str, name: str, section: str, known: dict[str, Any]) -> None:
    if name not in known:
        listed = (
            f"is not among {sorted(known)}{suggest(name, known)}" if known else f"is not there; add it to {section}"
        )
        raise ValueError(f"{key}: '{name}' {listed}")


def _require_known(key: str, wanted: list[Level] | None, known: set[Level]) -> None:
    for value in wanted or []:
        if not any(same_level(value, other) for other in known):
            listed = sorted(_short(other) for other in known)
            raise ValueError(f"{key}: {_short(value)} is not among {', '.join(listed)}")


def same_level(a: Level, b: Level) -> bool:
    """Whether two sigmas (or eps) are the same, up to rounding."""
    return a == b if SELECTED in (a, b) else math.isclose(a, b, rel_tol=1e-9)


def _short(value: Level) -> str:
    return value if value == SELECTED else f"{value:.4g}"


def _require_distinct(key: str, values: list[Level]) -> None:
    tokens = [value if value == SELECTED else f"{value:.10g}" for value in values]
    for token in tokens:
        if tokens.count(token) > 1:
            raise ValueError(f"{key}: {token} stands there twice; remove one")


def suggest(word: str, known: Any) -> str:
    """What to add to a message when a known word is near the one given."""
    near = difflib.get_close_matches(word, [str(key) for key in known], n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""
