"""The config's documentation, written out of its models: the key tables of config/README.md and config/schema.json."""

from __future__ import annotations

import json
import typing

from pydantic_core import PydanticUndefined

from assay.study import (
    attacks,
    blocks,
    certificates,
    checks,
    classifiers,
    diffusions,
    energies,
    evaluation,
    images,
    model,
    objectives,
    preprocessing,
    purifiers,
    selection,
    threats,
    training,
)
from assay.study.fields import TAGS, Model

BEGIN = "<!-- keys: written by `make docs` from the models in src/assay/study; do not edit -->"
END = "<!-- end of keys -->"

SECTIONS: list[tuple[str, list[type[Model]]]] = [
    ("The study", [model.Study]),
    ("`images`", list(typing.get_args(typing.get_args(images.Images)[0]))),
    ("`images.preprocess`", [preprocessing.Preprocessing]),
    ("`classifiers.NAME`", [classifiers.Classifier, classifiers.PublishedClassifier, classifiers.PythonClassifier]),
    ("`classifiers.NAME.denoise`", [blocks.Denoise]),
    ("`classifiers.NAME.objective`", list(typing.get_args(typing.get_args(objectives.Classifying)[0]))),
    ("`classifiers.NAME.objective.awp`", [objectives.WeightPerturbation]),
    ("`diffusions.NAME`", [diffusions.Diffusion, diffusions.PublishedDiffusion]),
    ("`diffusions.NAME.objective`", list(typing.get_args(typing.get_args(objectives.Denoising)[0]))),
    ("`….NAME.augment[]`", list(typing.get_args(typing.get_args(training.AnyAugmentation)[0]))),
    ("`….NAME.ranks`", [training.Ranks]),
    ("`purifiers.NAME`", list(typing.get_args(typing.get_args(purifiers.AnyPurifier)[0]))),
    ("`purifiers.NAME.energy`", [energies.DistanceEnergy, energies.ClassifierEnergy]),
    ("`attacks.NAME`", list(typing.get_args(typing.get_args(attacks.AnyAttack)[0]))),
    ("`attacks.NAME.threat`", [*threats.KNOWN.values(), threats.PythonThreat]),
    ("`cross[]`", [model.Crossing]),
    ("`selection`", [selection.Selection]),
    ("`evaluation`", [evaluation.Evaluation]),
    ("`certificates`", [certificates.Certificates]),
    ("`evaluation.equivalence`", [evaluation.Equivalence]),
    ("`checks`", [checks.Checks]),
]


def schema() -> str:
    """The JSON schema of a study's config, as text."""
    return json.dumps(model.Study.model_json_schema(), indent=2, sort_keys=True) + "\n"


def key_tables() -> str:
    """The tables of all keys, as Markdown between the two marks."""
    parts = [BEGIN]
    for title, models in SECTIONS:
        parts.append(f"## {title}")
        for kind in models:
            parts.append(_table(kind, named=len(models) > 1))
    return "\n\n".join([*parts, END])


def _table(kind: type[Model], named: bool) -> str:
    lines = []
    if named:
        lines += [f"### {_heading(kind)}", ""]
    lines += [(kind.__doc__ or "").strip().splitlines()[0], "", "| key | default | meaning |", "| --- | --- | --- |"]
    for name, field in kind.model_fields.items():
        lines.append(f"| `{name}` | {_default(field)} | {field.description} |")
    return "\n".join(lines)


def _heading(kind: type[Model]) -> str:
    """What in a config tells this model from the others of its section."""
    if tag := next((name for name in TAGS if name in kind.model_fields), None):
        return f"`{tag}: {typing.get_args(kind.model_fields[tag].annotation)[0]}`"
    return "with `published`" if kind.kind == "published" else "without `published`"


def _default(field: typing.Any) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return "absent"
    if isinstance(field.default, threats.Threat):
        return f"`{field.default.name}`"
    if isinstance(field.default, checks.Checks):
        return "its defaults"
    if field.default == [model.Crossing()]:
        return "one block of everything"
    return f"`{json.dumps(field.default, default=_of_model)}`"


def _of_model(chosen: Model) -> typing.Any:
    """A default that is a model, as a config has it: its method, or else the keys that are set."""
    return getattr(chosen, "method", None) or chosen.model_dump(exclude_defaults=True)
