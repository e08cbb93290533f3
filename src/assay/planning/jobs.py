"""The jobs of a study by the rules' wildcards: what each reads, its canonical spec, and the code that it runs.

A spec is exactly the slice of the config that the stage reads, as sorted JSON. Snakemake compares a job's params as a
set of values without names; one text that holds names and values together makes every change of meaning a change of
the param, and nothing else one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from assay.files import canonical_json, digest, sha256
from assay.manifests import COUNTS, MANIFEST, key_of
from assay.planning.cells import (
    CLEAN,
    Cell,
    Defence,
    attacked_stacks,
    cells,
    fine_tuned,
    followed_stacks,
    probed_stacks,
    sigma_token,
    smoothed,
    sweep,
)
from assay.planning.fingerprint import fingerprint
from assay.study.attacks import AttackSpec
from assay.study.certificates import MOST_PREDICTED, AttackCertificatesSpec, CertifySpec
from assay.study.classifiers import ClassifierSpec, PublishedClassifierSpec
from assay.study.diffusions import DiffusionSpec, PublishedDiffusionSpec
from assay.study.evaluation import ClassifySpec
from assay.study.fields import SELECTED, Level, Model
from assay.study.images import FetchSpec, ImagesSpec, IndexSpec, RolesSpec
from assay.study.model import STRICT, Study
from assay.study.needs import LOADERS, Needs
from assay.study.probing import ProbeSpec
from assay.study.purifiers import AnyPurifier, PurifySpec
from assay.study.selection import ChooseSpec
from assay.study.sources import STACK_FILES, Split

IN_PARTS = ("attack", "purify", "certify")  # stages whose work is cut where a study says so
PUBLISHED = "published"  # the kind of a network that is not trained here
LOCK = Path(__file__).parents[3] / "requirements/lock.txt"


@dataclass(frozen=True)
class Artifact:
    """An artifact of a study: its kind, its place, and the job that makes it: a stage and its wildcards.

    `made_of` is a user's own module that whoever loads the artifact runs.
    """

    kind: str
    folder: str
    stage: str
    wildcards: tuple[tuple[str, str], ...] = ()
    made_of: str | None = None

    @property
    def manifest(self) -> str:
        """The file that stands for it."""
        return self.folder if self.folder.endswith(MANIFEST) else f"{self.folder}/{MANIFEST}"

    @property
    def loaders(self) -> list[str]:
        """The modules that load it."""
        return [module for module in (LOADERS.get(self.kind), self.made_of) if module]


@dataclass(frozen=True)
class Job:
    """One job: its stage, its spec, the artifacts that it reads by role, and the modules that it finds by name.

    `each` are roles of many artifacts, by name, which lie in one folder; `after` is an artifact that must be there
    before it, and of which nothing is read.
    """

    stage: str
    makes: Artifact | None
    spec: Model
    inputs: Mapping[str, Artifact] = field(default_factory=dict)
    modules: tuple[str, ...] = ()
    each: Mapping[str, Mapping[str, Artifact]] = field(default_factory=dict)
    after: Mapping[str, Artifact] = field(default_factory=dict)
    versions: str = ""

    @functools.cached_property
    def described(self) -> dict[str, Any]:
        """The spec, as a manifest has it."""
        return self.spec.model_dump(mode="json")

    @functools.cached_property
    def text(self) -> str:
        """The canonical spec."""
        return canonical_json(self.described)

    @functools.cached_property
    def code(self) -> str:
        """The fingerprint of the code that the stage runs, that of its inputs' loaders included."""
        loaders = [module for artifact in self.inputs.values() for module in artifact.loaders]
        return fingerprint(f"workflow/stages/{self.stage}.py", *self.modules, *loaders) + self.versions

    @functools.cached_property
    def all_inputs(self) -> dict[str, Artifact]:
        """All that it reads, by role, as its manifest names them."""
        many = {f"{role}/{name}": found for role, some in self.each.items() for name, found in some.items()}
        return {**self.inputs, **many}


def _common_folder(some: Mapping[str, Artifact]) -> str:
    """The folder below which many artifacts lie by their names."""
    name, artifact = next(iter(some.items()))
    return artifact.folder.removesuffix(f"/{name}")


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
        self.smoothed = smoothed(study)
        self.attacked = attacked_stacks(study)
        swept = [cell.attacked for cell in self.sweep.attacked]
        self._attacked = {attacked.path: attacked for attacked in [*self.attacked, *swept]}
        self._versions = f"-{sha256(LOCK)[:16]}" if study.versions == STRICT else ""
        self._known: dict[tuple[Any, ...], Job] = {}
        self._keys: dict[Artifact, str] = {}

    def job(self, stage: str, **wildcards: str) -> Job:
        """The job of a stage for the values of its wildcards; each is worked out once."""
        key = (stage, *sorted(wildcards.items()))
        if key not in self._known:
            self._known[key] = getattr(self, stage)(**wildcards)
        return self._known[key]

    def maker(self, artifact: Artifact) -> Job:
        """The job that makes an artifact."""
        return self.job(artifact.stage, **dict(artifact.wildcards))

    def key(self, artifact: Artifact) -> str:
        """The key that an artifact of the study must have (see `assay.manifests`)."""
        if artifact not in self._keys:
            job = self.maker(artifact)
            inputs = {
                role: found.kind if found.kind in COUNTS else self.key(found) for role, found in job.all_inputs.items()
            }
            self._keys[artifact] = key_of(artifact.kind, job.described, job.code, inputs)
        return self._keys[artifact]

    def parts(self, job: Job) -> list[str]:
        """The parts (`1-of-3`, …) that several jobs compute before this one puts them together; none if it does all."""
        return self.study.evaluation.parts(self._images_in_parts(job)) if job.stage in IN_PARTS else []

    def _images_in_parts(self, job: Job) -> int:
        """How many images the parts of a job have together."""
        if asked := getattr(job.spec, "images", None):
            return asked
        wildcards = dict(job.makes.wildcards)
        role, path = wildcards.get("role", ""), wildcards.get("attacked_path") or wildcards.get("attacked", CLEAN)
        count = self.study.counts[split_of(role)]
        some = None if role or path == CLEAN else self.study.attacks[self._attacked[path].attack].images
        return some or count

    def options(self, job: Job) -> list[str]:
        """The options of a stage: inputs' folders and keys by role, the spec, the code's fingerprint, and the place.

        Where a role is many artifacts, it has the folder that they lie in, and one key of all.
        """
        folders = {role: artifact.folder for role, artifact in job.inputs.items()}
        keys = {role: self.key(artifact) for role, artifact in job.inputs.items()}
        for role, some in job.each.items():
            if some:
                folders[role] = _common_folder(some)
                keys[role] = digest({f"{role}/{name}": self.key(artifact) for name, artifact in some.items()})
        given = {"inputs": canonical_json(folders), "keys": canonical_json(keys), "spec": job.text, "code": job.code}
        return [f"--{option}={value}" for option, value in (given | {"out": job.makes.folder}).items()]

    # one method a stage

    def fetch_images(self, file: str) -> Job:
        return Job("fetch_images", None, FetchSpec(file=file, checksum=self.study.images.hashes[file]))

    def index_images(self) -> Job:
        images = self.study.images
        return self._job(self.index(), IndexSpec(images=images.content()), {}, (images.implementation,))

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
        return self._job(self.images(split), spec, index, (images.implementation,))

    def check_images(self) -> Job:
        return self._job(self.roles(), RolesSpec(), {split: self.images(split) for split in self.study.counts})

    def train_classifier(self, classifier: str) -> Job:
        described = self.study.classifiers[classifier]
        spec = ClassifierSpec(classifier=described, seed=self.study.seed)
        modules = (described.implementation, described.objective.implementation)
        return self._job(
            self.classifier(classifier), spec, self._to_train(described.needs), modules, after=self._checked()
        )

    def import_classifier(self, classifier: str) -> Job:
        described = self.study.classifiers[classifier]
        inputs = {"validation": self.images("validation")}
        spec = PublishedClassifierSpec(classifier=described)
        return self._job(self.classifier(classifier), spec, inputs, (described.implementation,))

    def train_diffusion(self, diffusion: str) -> Job:
        described = self.study.diffusions[diffusion]
        spec = DiffusionSpec(diffusion=described, seed=self.study.seed)
        modules = (described.objective.implementation,)
        return self._job(
            self.diffusion(diffusion), spec, self._to_train(described.needs), modules, after=self._checked()
        )

    def import_diffusion(self, diffusion: str) -> Job:
        spec = PublishedDiffusionSpec(diffusion=self.study.diffusions[diffusion], seed=self.study.seed)
        return self._job(self.diffusion(diffusion), spec, {"validation": self.images("validation")})

    def attack(self, role: str, attacked_path: str) -> Job:
        attacked = self._attacked[attacked_path]
        attack = self.study.attacks[attacked.attack]
        attack = attack.model_copy(update={"eps": [attacked.eps], "images": None if role else attack.images})
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
        modules = (attack.implementation, attack.threat.implementation)
        modules += purifier.implementations if purifier else ()
        return self._job(self.stack(role, attacked_path), spec, inputs, modules, after=self._checked())

    def probe(self, attacked_path: str) -> Job:
        attack = self.job("attack", role="", attacked_path=attacked_path)
        spec = ProbeSpec(**dict(attack.spec), checks=self.study.checks.of_one)
        inputs = {**attack.inputs, "attacked": self.stack("", attacked_path)}
        modules = ("workflow/stages/attack.py", *attack.modules)
        return self._job(self.probed_at(attacked_path), spec, inputs, modules)

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
        return self._job(self.purified(role, attacked, purifier, sigma), spec, inputs, found.implementations)

    def classify(self, role: str, classifier: str, attacked: str, purifier: str, sigma: str) -> Job:
        shown = self.stack(role, attacked) if purifier == "none" else self.purified(role, attacked, purifier, sigma)
        inputs = {"images": shown, "classifier": self.classifier(classifier)}
        makes = self.scores(role, classifier, attacked, purifier, sigma)
        votes = self.study.purifiers[purifier].votes if purifier != "none" else 1
        return self._job(makes, ClassifySpec(batch_size=self.study.evaluation.batch_size, votes=votes), inputs)

    def certify(self, classifier: str, purifier: str, sigma: str) -> Job:
        asked = self.study.certificates
        found = self._purifier(Defence(purifier, self._sigma(purifier, sigma)))
        spec = CertifySpec(
            purifier=found,
            images=asked.images,
            draws=asked.draws,
            selection_draws=asked.selection_draws,
            alpha=asked.alpha,
            radius=asked.radius,
            batch_size=self.study.evaluation.batch_size,
            seed=self.study.seed,
        )
        inputs = {"images": self.images("test"), "classifier": self.classifier(classifier), **self._defence(found)}
        return self._job(self.certificates(classifier, purifier, sigma), spec, inputs, (found.implementation,))

    def attack_certificates(self, classifier: str, purifier: str, sigma: str) -> Job:
        certify = self.job("certify", classifier=classifier, purifier=purifier, sigma=sigma)
        spec = AttackCertificatesSpec(
            purifier=certify.spec.purifier,
            images=self.study.certificates.attacked_images,
            draws=min(certify.spec.draws, MOST_PREDICTED),
            alpha=certify.spec.alpha,
            batch_size=certify.spec.batch_size,
            seed=certify.spec.seed,
        )
        inputs = {**certify.inputs, "certificates": self.certificates(classifier, purifier, sigma)}
        return self._job(self.attacked_certificates(classifier, purifier, sigma), spec, inputs, certify.modules)

    def choose_sigma(self) -> Job:
        spec = ChooseSpec(
            sigmas=self.sweep.sigmas,
            clean=[cell.path for cell in self.sweep.clean],
            attacked=[cell.path for cell in self.sweep.attacked],
        )
        scores = {cell.path: self.scores_of("selection/", cell) for cell in self.sweep.cells}
        return self._job(self.selection(), spec, {"images": self.images("selection")}, each={"scores": scores})

    def summarise(self) -> Job:
        inputs = {"images": self.images("test"), **self._selected()}
        followed = {attacked.path: self.stack("", attacked.path) for attacked in followed_stacks(self.study)}
        certified = self._certificates("certificates", self.certificates)
        each = {"scores": self._scores(), "trajectories": followed, **certified}
        return self._job(self.tables(), self.study, inputs, each=each)

    def check(self) -> Job:
        inputs = {
            "images": self.images("test"),
            "roles": self.roles(),
            "tables": self.tables(),
            **self._selected(),
        }
        each = {
            "scores": self._scores(),
            "adversarial": {attacked.path: self.stack("", attacked.path) for attacked in self.attacked},
            "diffusions": {name: self.diffusion(name) for name in fine_tuned(self.study)},
            "probes": {attacked.path: self.probed_at(attacked.path) for attacked in self.probed},
            **self._certificates("certificates", self.certificates),
        }
        if self.study.certificates and self.study.certificates.attacked_images:
            each |= self._certificates("attacked_certificates", self.attacked_certificates)
        return self._job(self.checks(), self.study, inputs, each=each)

    def report(self) -> Job:
        return self._job(self.page(), self.study, {"tables": self.tables(), "checks": self.checks()})

    # artifacts

    def images(self, split: Split) -> Artifact:
        """The clean images of a split."""
        kind = "stack" if STACK_FILES[0] in self.study.images.stack_files(split) else "file list"
        return self._artifact(kind, f"images/{split}", "prepare_images", split=split)

    def index(self) -> Artifact:
        """The index of the data set's files."""
        return self._artifact("index", "images/index", "index_images")

    def roles(self) -> Artifact:
        """That no image plays two roles."""
        return self._artifact("roles", "images/roles", "check_images")

    def stack(self, role: str, attacked: str) -> Artifact:
        """A stack by its path below `adversarial/`, or the clean images."""
        if attacked == CLEAN:
            return self.images(split_of(role))
        return self._artifact("stack", f"{role}adversarial/{attacked}", "attack", role=role, attacked_path=attacked)

    def purified(self, role: str, attacked: str, purifier: str, sigma: str) -> Artifact:
        """A stack that was purified."""
        wildcards = {"role": role, "attacked": attacked, "purifier": purifier, "sigma": sigma}
        return self._artifact("stack", f"{role}purified/{attacked}/{purifier}/sigma-{sigma}", "purify", **wildcards)

    def scores(self, role: str, classifier: str, attacked: str, purifier: str, sigma: str) -> Artifact:
        """The scores of a stack, purified or not."""
        wildcards = {"role": role, "classifier": classifier, "attacked": attacked, "purifier": purifier, "sigma": sigma}
        place = f"{role}scores/{classifier}/{attacked}/{purifier}/sigma-{sigma}"
        return self._artifact("scores", place, "classify", **wildcards)

    def scores_of(self, role: str, cell: Cell) -> Artifact:
        """The scores of a cell."""
        defence = cell.defence
        return self.scores(role, cell.classifier, cell.stack, defence.name, sigma_token(defence.sigma))

    def probed_at(self, attacked: str) -> Artifact:
        """What was measured of an attack, by the path of its stack."""
        return self._artifact("probe", f"probes/{attacked}", "probe", attacked_path=attacked)

    def certificates(self, classifier: str, purifier: str, sigma: str) -> Artifact:
        """The votes that the certificates of a smoothed classifier are told from."""
        place = f"certificates/{classifier}/{purifier}/sigma-{sigma}"
        wildcards = {"classifier": classifier, "purifier": purifier, "sigma": sigma}
        return self._artifact("certificates", place, "certify", **wildcards)

    def attacked_certificates(self, classifier: str, purifier: str, sigma: str) -> Artifact:
        """What attacks inside the certified radii of a smoothed classifier came to."""
        place = f"attacked_certificates/{classifier}/{purifier}/sigma-{sigma}"
        wildcards = {"classifier": classifier, "purifier": purifier, "sigma": sigma}
        return self._artifact("attacked certificates", place, "attack_certificates", **wildcards)

    def classifier(self, name: str) -> Artifact:
        """A classifier, trained or published."""
        described = self.study.classifiers[name]
        stage = "import_classifier" if described.kind == PUBLISHED else "train_classifier"
        artifact = self._artifact("classifier", f"classifiers/{name}", stage, classifier=name)
        return replace(artifact, made_of=getattr(described, "module", None))

    def diffusion(self, name: str) -> Artifact:
        """A diffusion, trained or published."""
        stage = "import_diffusion" if self.study.diffusions[name].kind == PUBLISHED else "train_diffusion"
        return self._artifact("diffusion", f"diffusions/{name}", stage, diffusion=name)

    def selection(self) -> Artifact:
        """The choice of sigma."""
        return self._artifact("selection", "selection", "choose_sigma")

    def tables(self) -> Artifact:
        """The summary, and the tables beside it."""
        return self._artifact("tables", f"summary.{MANIFEST}", "summarise")

    def checks(self) -> Artifact:
        """The table of checks."""
        return self._artifact("checks", f"checks.{MANIFEST}", "check")

    def page(self) -> Artifact:
        """The report."""
        return self._artifact("report", f"report.{MANIFEST}", "report")

    def needed(self, needs: Needs) -> dict[str, Artifact]:
        """The artifacts that needs name, by role."""
        return {role: getattr(self, need.kind)(need.name) for role, need in needs.items()}

    def named(self, kind: str, published: bool) -> list[str]:
        """The names of the classifiers or diffusions that are trained here, or that were published elsewhere."""
        networks = getattr(self.study, f"{kind}s")
        return [name for name, network in networks.items() if (network.kind == PUBLISHED) == published]

    def _job(self, makes: Artifact, spec: Model, *inputs_and_modules: Any, **more: Any) -> Job:
        return Job(makes.stage, makes, spec, *inputs_and_modules, **more, versions=self._versions)

    def _artifact(self, kind: str, place: str, stage: str, **wildcards: str) -> Artifact:
        return Artifact(kind, f"{self.results}/{place}", stage, tuple(wildcards.items()))

    def _scores(self) -> dict[str, Artifact]:
        return {cell.path: self.scores_of("", cell) for cell in self.cells}

    def _certificates(self, role: str, artifact: Callable[[str, str, str], Artifact]) -> dict[str, dict[str, Artifact]]:
        """The artifacts of all smoothed classifiers, under a role; nothing where a study certifies none."""
        found = {
            one.path: artifact(one.classifier, one.defence.name, sigma_token(one.defence.sigma))
            for one in self.smoothed
        }
        return {role: found} if found else {}

    def _to_train(self, needs: Needs) -> dict[str, Artifact]:
        return {"train": self.images("train"), "validation": self.images("validation"), **self.needed(needs)}

    def _checked(self) -> dict[str, Artifact]:
        """That the images were checked; when that was done changes nothing."""
        return {"roles": self.roles()}

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
