"""The canonical spec of each job: exactly the slice of the config that its stage reads, as sorted JSON.

Snakemake compares a job's params as a set of values without names; one text that holds names and values together
makes every change of meaning a change of the param, and nothing else one.
"""

from __future__ import annotations

from typing import Any

from assay.files import canonical_json, digest
from assay.planning.cells import CLEAN, Cell, Defence, attacked_stacks, cells, probed_stacks, sigma_token, sweep
from assay.planning.fingerprint import fingerprint
from assay.study.attacks import AttackSpec
from assay.study.classifiers import ClassifierSpec, PublishedClassifier, PublishedClassifierSpec
from assay.study.diffusions import DiffusionSpec, PublishedDiffusion, PublishedDiffusionSpec
from assay.study.evaluation import ClassifySpec
from assay.study.fields import Level, Model
from assay.study.images import FetchSpec, ImagesSpec, IndexSpec, Split
from assay.study.model import Study
from assay.study.probing import ProbeSpec
from assay.study.purifiers import AnyPurifier, PurifySpec
from assay.study.selection import ChooseSpec


def split_of(role: str) -> Split:
    """The split of a role's images: empty for test images, `selection/` for those that sigma is chosen on."""
    return "selection" if role else "test"


class Specs:
    """Specs and code fingerprints of a study's jobs, looked up by the wildcards of the rules."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.cells = cells(study)
        self.sweep = sweep(study)
        swept = [cell.attacked for cell in self.sweep.attacked]
        self.probed = probed_stacks(study)
        self.attacked = attacked_stacks(study)
        self._attacked = {attacked.path: attacked for attacked in [*self.attacked, *swept]}

    # specs

    def images(self, split: Split) -> str:
        images, counts = self.study.images, self.study.counts
        return _text(
            ImagesSpec(
                images=images.content(),
                split=split,
                count=counts[split],
                beside=images.beside(split, counts),
                seed=self.study.seed,
            )
        )

    def fetch(self, file: str) -> str:
        return _text(FetchSpec(file=file, checksum=self.study.images.hashes[file]))

    def index(self) -> str:
        return _text(IndexSpec(images=self.study.images.content()))

    def classifier(self, name: str) -> str:
        classifier = self.study.classifiers[name]
        if isinstance(classifier, PublishedClassifier):
            return _text(PublishedClassifierSpec(classifier=classifier))
        return _text(ClassifierSpec(classifier=classifier, seed=self.study.seed))

    def diffusion(self, name: str) -> str:
        diffusion = self.study.diffusions[name]
        kind = PublishedDiffusionSpec if isinstance(diffusion, PublishedDiffusion) else DiffusionSpec
        return _text(kind(diffusion=diffusion, seed=self.study.seed))

    def attack(self, path: str) -> str:
        attacked = self._attacked[path]
        purifier = self._purifier(attacked.victim) if attacked.victim.purifier else None
        return _text(
            AttackSpec(
                attack=self.study.attacks[attacked.attack].model_copy(update={"eps": [attacked.eps]}),
                purifier=purifier.model_dump() if purifier else None,
                batch_size=self.study.evaluation.batch_size,
                seed=self.study.seed,
            )
        )

    def purify(self, attacked: str, purifier: str, sigma: str, role: str = "") -> str:
        """Of the stack that a purifier makes of the stack `attacked`, a path or `clean`.

        `role` is empty for test images, `selection/` for those that sigma is chosen on.
        """
        evaluation = self.study.evaluation
        draws = self.study.selection.draws if role else evaluation.draws
        return _text(
            PurifySpec(
                purifier=self._purifier(self._defence(purifier, sigma)),
                draws=1 if self._locked(attacked) else draws,
                batch_size=evaluation.batch_size,
                seed=self.study.seed,
            )
        )

    def probe(self, path: str) -> str:
        attack = AttackSpec.model_validate_json(self.attack(path))
        return _text(ProbeSpec(**dict(attack), checks=self.study.checks))

    def classify(self) -> str:
        return _text(ClassifySpec(batch_size=self.study.evaluation.batch_size))

    def choose_sigma(self) -> str:
        return _text(
            ChooseSpec(
                sigmas=self.sweep.sigmas,
                clean=[cell.path for cell in self.sweep.clean],
                attacked=[cell.path for cell in self.sweep.attacked],
                seed=self.study.seed,
            )
        )

    def whole(self) -> str:
        """The spec of summarise, check and report: the whole study, but for what only says how fast it is computed."""
        return canonical_json(self.study.model_dump(mode="json", exclude={"threads"}))

    # look-ups

    def rows(self) -> list[dict[str, Any]]:
        """What the summary says of each cell beside its scores, and the place of its scores."""
        return [self._row(cell) | {"scores": cell.path} for cell in self.cells]

    def _row(self, cell: Cell) -> dict[str, Any]:
        attacked = cell.attacked
        attack = self.study.attacks[attacked.attack] if attacked else None
        return {
            "classifier": cell.classifier,
            "attack": _attack_name(cell) if attacked else "none",
            "threat": attack.threat if attack else "none",
            "norm": attack.ball if attack else "none",
            "eps": attacked.eps if attacked else 0.0,
            "defence": cell.defence.name,
            "sigma": cell.defence.sigma,
        }

    def _defence(self, purifier: str, sigma: str) -> Defence:
        for value in [*self.study.purifiers[purifier].sigmas, *self.sweep.sigmas]:
            if sigma_token(value) == sigma:
                return Defence(purifier, value)
        raise KeyError(f"purifier {purifier} has no sigma {sigma} in study {self.study.study}")

    def classifiers(self, kind: str) -> list[str]:
        """The names of the classifiers that are `trained` or `published`."""
        return [name for name, classifier in self.study.classifiers.items() if classifier.kind == kind]

    def diffusions(self, kind: str) -> list[str]:
        """The names of the diffusions that are `trained` or `published`."""
        return [name for name, diffusion in self.study.diffusions.items() if diffusion.kind == kind]

    def diffusion_of(self, purifier: str | None) -> str | None:
        """The diffusion that a purifier uses, if any."""
        return getattr(self.study.purifiers[purifier], "diffusion", None) if purifier else None

    def classifier_of_attack(self, path: str) -> str:
        """The classifier that an attack's victim is, or defends."""
        return self._attacked[path].classifier

    def diffusion_of_attack(self, path: str) -> str | None:
        """The diffusion that an attack's victim uses, if any."""
        return self.diffusion_of(self._attacked[path].victim.purifier)

    def sigma_of_attack(self, path: str) -> Level:
        """The sigma of an attack's victim; 0 for the bare classifier."""
        return self._attacked[path].victim.sigma

    # code fingerprints: the program, and the modules that it finds by name

    def code(self, stage: str, *modules: str) -> str:
        return fingerprint(f"workflow/stages/{stage}.py", *modules)

    def code_of_images(self) -> str:
        """Of prepare_images, and of the index that it reads where the data set has files: that is an ancient input."""
        index = ["workflow/stages/index_images.py"] if self.study.images.folder else []
        return self.code("prepare_images", f"assay.data.{self.study.images.source}", *index)

    def code_of_index(self) -> str:
        return self.code("index_images", f"assay.data.{self.study.images.source}")

    def code_of_classifier(self, name: str) -> str:
        """Of train_classifier: adversarial training is a module of its own, so that others do not depend on it."""
        adversarial = ["assay.training.objectives.adversarial"] if self.study.classifiers[name].adversarial else []
        return self.code("train_classifier", *adversarial)

    def code_of_attack(self, path: str) -> str:
        attacked = self._attacked[path]
        attack = self.study.attacks[attacked.attack]
        modules = [f"assay.attacks.methods.{attack.method}", f"assay.attacks.threats.{attack.threat}"]
        if attacked.victim.purifier:
            modules.append(f"assay.purifiers.{self.study.purifiers[attacked.victim.purifier].method}")
        return self.code("attack", *modules)

    def code_of_probe(self, path: str) -> str:
        """What a probe runs is the attack, and the probing."""
        return digest([self.code("probe"), self.code_of_attack(path)])

    def code_of_purify(self, purifier: str) -> str:
        return self.code("purify", f"assay.purifiers.{self.study.purifiers[purifier].method}")

    def _locked(self, path: str) -> bool:
        """Whether a stack was attacked by one who knows the noise of draw 0, on which alone it is judged."""
        return path != CLEAN and self.study.attacks[self._attacked[path].attack].threat == "locked"

    def _purifier(self, defence: Defence) -> AnyPurifier:
        return self.study.purifiers[defence.purifier].at(defence.sigma)


def _attack_name(cell: Cell) -> str:
    """The attack's name in the summary: `pgd`, or `pgd@resnet` on a classifier that it was not made on."""
    attacked = cell.attacked
    return attacked.attack if attacked.classifier == cell.classifier else f"{attacked.attack}@{attacked.classifier}"


def _text(spec: Model) -> str:
    return canonical_json(spec.model_dump(mode="json"))
