"""The jobs of a study by the rules' wildcards: what each reads, its canonical spec, and the code that it runs.

A spec is exactly the slice of the config that the stage reads, as sorted JSON. Snakemake compares a job's params as a
set of values without names; one text that holds names and values together makes every change of meaning a change of
the param, and nothing else one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.files import MANIFEST, canonical_json
from assay.planning.cells import CLEAN, Defence, attacked_stacks, cells, probed_stacks, sigma_token, sweep
from assay.planning.fingerprint import fingerprint
from assay.study.attacks import AttackSpec
from assay.study.classifiers import ClassifierSpec, PublishedClassifierSpec
from assay.study.diffusions import DiffusionSpec, PublishedDiffusionSpec
from assay.study.evaluation import ClassifySpec
from assay.study.fields import SELECTED, Level, Model
from assay.study.images import STACK_FILES, FetchSpec, ImagesSpec, IndexSpec, Split
from assay.study.model import Study
from assay.study.needs import LOADERS, Needs
from assay.study.probing import ProbeSpec
from assay.study.purifiers import AnyPurifier, PurifySpec
from assay.study.selection import SIGMA, ChooseSpec

# What an artifact holds beside its manifest, of what other jobs read.
CLASSIFIER_FILES = ("model.safetensors",)
DIFFUSION_FILES = ("diffusion_pytorch_model.safetensors", "config.json")
INDEX_FILES = ("table.csv",)


@dataclass(frozen=True)
class Artifact:
    """An artifact as an input: its kind, its folder, the file that stands for it and the others that are read.

    `made_of` is a user's own module that whoever loads the artifact runs.
    """

    kind: str
    folder: str
    others: tuple[str, ...]
    standing: str = MANIFEST
    made_of: str | None = None

    @property
    def stands(self) -> str:
        """The file whose change counts."""
        return f"{self.folder}/{self.standing}"

    @property
    def files(self) -> list[str]:
        """The files that must be there, whatever their age."""
        return [f"{self.folder}/{name}" for name in self.others]

    @property
    def loaders(self) -> list[str]:
        """The modules that load it."""
        return [module for module in (LOADERS.get(self.kind), self.made_of) if module]


@dataclass(frozen=True)
class Job:
    """One job: its stage, its spec, the artifacts that it reads by role, and the modules that it finds by name."""

    stage: str
    spec: Model
    inputs: Mapping[str, Artifact] = field(default_factory=dict)
    modules: tuple[str, ...] = ()

    @functools.cached_property
    def text(self) -> str:
        """The canonical spec."""
        return canonical_json(self.spec.model_dump(mode="json"))

    @functools.cached_property
    def code(self) -> str:
        """The fingerprint of the code that the stage runs, that of its inputs' loaders included."""
        loaders = [module for artifact in self.inputs.values() for module in artifact.loaders]
        return fingerprint(f"workflow/stages/{self.stage}.py", *self.modules, *loaders)

    @functools.cached_property
    def folders(self) -> str:
        """The option `--inputs` of the stage: folders by role."""
        return canonical_json({role: artifact.folder for role, artifact in self.inputs.items()})


def split_of(role: str) -> Split:
    """The split of a role's images: empty for test images, `selection/` for those that sigma is chosen on."""
    return "selection" if role else "test"


class Jobs:
    """The jobs of a study. The names of the arguments are those of the rules' wildcards.

    `role` is empty for test images and what is made of them, `selection/` for those that sigma is chosen on.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.results = f"results/{study.study}"
        self.cells = cells(study)
        self.sweep = sweep(study)
        self.probed = probed_stacks(study)
        self.attacked = attacked_stacks(study)
        swept = [cell.attacked for cell in self.sweep.attacked]
        self._attacked = {attacked.path: attacked for attacked in [*self.attacked, *swept]}
        self._known: dict[tuple[Any, ...], Job] = {}

    def job(self, stage: str, **wildcards: str) -> Job:
        """The job of a stage for the values of its wildcards; each is worked out once."""
        key = (stage, *sorted(wildcards.items()))
        if key not in self._known:
            self._known[key] = getattr(self, stage)(**wildcards)
        return self._known[key]

    # one method a stage

    def fetch_images(self, file: str) -> Job:
        return Job("fetch_images", FetchSpec(file=file, checksum=self.study.images.hashes[file]))

    def index_images(self) -> Job:
        images = self.study.images
        return Job("index_images", IndexSpec(images=images.content()), {}, (images.implementation,))

    def prepare_images(self, split: Split) -> Job:
        images, counts = self.study.images, self.study.counts
        spec = ImagesSpec(
            images=images.content(),
            split=split,
            count=counts[split],
            beside=images.beside(split, counts),
            seed=self.study.seed,
        )
        index = {"index": self.index()} if images.is_indexed else {}
        return Job("prepare_images", spec, index, (images.implementation,))

    def train_classifier(self, classifier: str) -> Job:
        described = self.study.classifiers[classifier]
        spec = ClassifierSpec(classifier=described, seed=self.study.seed)
        modules = (described.implementation, described.objective.implementation)
        return Job("train_classifier", spec, self._to_train(described.needs), modules)

    def import_classifier(self, classifier: str) -> Job:
        described = self.study.classifiers[classifier]
        inputs = {"validation": self.images("validation")}
        return Job(
            "import_classifier", PublishedClassifierSpec(classifier=described), inputs, (described.implementation,)
        )

    def train_diffusion(self, diffusion: str) -> Job:
        described = self.study.diffusions[diffusion]
        spec = DiffusionSpec(diffusion=described, seed=self.study.seed)
        return Job("train_diffusion", spec, self._to_train(described.needs), (described.objective.implementation,))

    def import_diffusion(self, diffusion: str) -> Job:
        spec = PublishedDiffusionSpec(diffusion=self.study.diffusions[diffusion], seed=self.study.seed)
        return Job("import_diffusion", spec, {"validation": self.images("validation")})

    def attack(self, role: str, attacked_path: str) -> Job:
        attacked = self._attacked[attacked_path]
        attack = self.study.attacks[attacked.attack].model_copy(update={"eps": [attacked.eps]})
        purifier = self._purifier(attacked.victim)
        spec = AttackSpec(
            attack=attack,
            purifier=purifier.model_dump() if purifier else None,
            batch_size=self.study.evaluation.batch_size,
            seed=self.study.seed,
        )
        inputs = {
            "images": self.images(split_of(role)),
            "classifier": self.classifier(attacked.classifier),
            **self.needed(attack.needs),
            **self._defence(purifier),
        }
        modules = [attack.implementation, attack.threat.implementation]
        return Job("attack", spec, inputs, (*modules, *([purifier.implementation] if purifier else [])))

    def probe(self, attacked_path: str) -> Job:
        attack = self.job("attack", role="", attacked_path=attacked_path)
        spec = ProbeSpec(**dict(attack.spec), checks=self.study.checks)
        inputs = {**attack.inputs, "attacked": self.stack("", attacked_path)}
        return Job("probe", spec, inputs, ("workflow/stages/attack.py", *attack.modules))

    def purify(self, role: str, attacked: str, purifier: str, sigma: str) -> Job:
        found = self._purifier(Defence(purifier, self._sigma(purifier, sigma)))
        draws = self.study.selection.draws if role else self.study.evaluation.draws
        judged = None if attacked == CLEAN else self.study.attacks[self._attacked[attacked].attack].threat.judged_draws
        spec = PurifySpec(
            purifier=found,
            draws=min(draws, judged or draws),
            batch_size=self.study.evaluation.batch_size,
            seed=self.study.seed,
        )
        inputs = {"images": self.stack(role, attacked), **self._defence(found)}
        return Job("purify", spec, inputs, (found.implementation,))

    def classify(self, role: str, classifier: str, attacked: str, purifier: str, sigma: str) -> Job:
        purified = f"{self.results}/{role}purified/{attacked}/{purifier}/sigma-{sigma}"
        shown = self.stack(role, attacked) if purifier == "none" else self._stack(purified)
        inputs = {"images": shown, "classifier": self.classifier(classifier)}
        return Job("classify", ClassifySpec(batch_size=self.study.evaluation.batch_size), inputs)

    def choose_sigma(self) -> Job:
        spec = ChooseSpec(
            sigmas=self.sweep.sigmas,
            clean=[cell.path for cell in self.sweep.clean],
            attacked=[cell.path for cell in self.sweep.attacked],
            seed=self.study.seed,
        )
        return Job("choose_sigma", spec, {"images": self.images("selection"), "scores": self._scores("selection/")})

    def summarise(self) -> Job:
        inputs = {"images": self.images("test"), "scores": self._scores(""), **self._selected()}
        return Job("summarise", self.study, inputs)

    def check(self) -> Job:
        return Job("check", self.study, self._selected())

    def report(self) -> Job:
        return Job("report", self.study)

    # artifacts

    def images(self, split: Split) -> Artifact:
        """The clean images of a split."""
        files = self.study.images.stack_files(split)
        kind = "stack" if STACK_FILES[0] in files else "file list"
        return Artifact(kind, f"{self.results}/images/{split}", files)

    def index(self) -> Artifact:
        """The index of the data set's files."""
        return Artifact("index", f"{self.results}/images/index", INDEX_FILES)

    def stack(self, role: str, attacked: str) -> Artifact:
        """A stack by its path below `adversarial/`, or the clean images."""
        clean = attacked == CLEAN
        return self.images(split_of(role)) if clean else self._stack(f"{self.results}/{role}adversarial/{attacked}")

    def classifier(self, name: str) -> Artifact:
        """A classifier, trained or published."""
        own = getattr(self.study.classifiers[name], "module", None)
        return Artifact("classifier", f"{self.results}/classifiers/{name}", CLASSIFIER_FILES, made_of=own)

    def diffusion(self, name: str) -> Artifact:
        """A diffusion, trained or published."""
        return Artifact("diffusion", f"{self.results}/diffusions/{name}", DIFFUSION_FILES)

    def selection(self) -> Artifact:
        """The choice of sigma. Only the sigma counts, not what it was chosen from."""
        return Artifact("selection", f"{self.results}/selection", (), SIGMA)

    def needed(self, needs: Needs) -> dict[str, Artifact]:
        """The artifacts that needs name, by role."""
        return {role: getattr(self, need.kind)(need.name) for role, need in needs.items()}

    def named(self, kind: str, published: bool) -> list[str]:
        """The names of the classifiers or diffusions that are trained here, or that were published elsewhere."""
        wanted = "published" if published else "trained"
        return [name for name, network in getattr(self.study, f"{kind}s").items() if network.kind == wanted]

    def _stack(self, folder: str) -> Artifact:
        return Artifact("stack", folder, STACK_FILES)

    def _scores(self, role: str) -> Artifact:
        """The folder of all scores; which of them are read, the rules say."""
        return Artifact("scores", f"{self.results}/{role}scores", ())

    def _to_train(self, needs: Needs) -> dict[str, Artifact]:
        return {"train": self.images("train"), "validation": self.images("validation"), **self.needed(needs)}

    def _defence(self, purifier: AnyPurifier | None) -> dict[str, Artifact]:
        """What a purifier at its sigma reads."""
        if purifier is None:
            return {}
        selected = {"selected": self.selection()} if purifier.sigma == SELECTED else {}
        return {**self.needed(purifier.needs), **selected}

    def _selected(self) -> dict[str, Artifact]:
        return {"selected": self.selection()} if self.study.selection else {}

    def _purifier(self, defence: Defence) -> AnyPurifier | None:
        return self.study.purifiers[defence.purifier].at(defence.sigma) if defence.purifier else None

    def _sigma(self, purifier: str, token: str) -> Level:
        for value in [*self.study.purifiers[purifier].sigmas, *self.sweep.sigmas]:
            if sigma_token(value) == token:
                return value
        raise KeyError(f"purifier {purifier} has no sigma {token} in study {self.study.study}")
