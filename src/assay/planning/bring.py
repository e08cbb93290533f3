"""Parts of a study that users' own modules make: their keys are checked and completed by the modules' own models."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from assay.files import AssayError
from assay.modules import load, own_model
from assay.planning.fingerprint import fingerprint
from assay.study.fields import Brought, Model
from assay.study.model import Study
from assay.study.parse import one_line, parse_study

Place = tuple[str | int, ...]


def plan_study(config: dict[str, Any], source: str) -> Study:
    """The study of a config that was read from `source`, its users' modules asked for their keys and needs.

    Only here are those modules imported (and torch, if they import it): the study that comes out says all that jobs
    and reports must know of them.
    """
    study = parse_study(config, source)
    brought = list(_brought(study, ()))
    if not brought:
        return study
    completed = copy.deepcopy(dict(config))
    for place, part in brought:
        _put(completed, place, _completed(part, f"{source}: {'.'.join(map(str, place))}"))
    return parse_study(completed, source)


def _completed(part: Brought, place: str) -> dict[str, Any]:
    """All keys of a part, defaults included, and what it needs."""
    try:
        own = own_model(part.for_module())
        if not hasattr(load(part.implementation), part.entry):
            raise AssayError(f"module: {part.module} has no {part.entry}; see README.md")
        fingerprint(part.implementation)  # fails where a neighbour that it imports is no Python
        needs = {role: list(need) for role, need in own.needs.items()}
        return part.model_dump(mode="json") | own.model_dump(mode="json") | {"uses": needs}
    except AssayError as error:
        raise AssayError(one_line(f"{place}.{error}")) from None
    except Exception as error:  # whatever a user's own model does
        fault = f"{type(error).__name__}: {error}"
        raise AssayError(
            one_line(f"{place}.module: {part.module} fails when it is planned ({fault}); correct it")
        ) from None


def _brought(value: Any, place: Place) -> Iterator[tuple[Place, Brought]]:
    """Every part of a study that a user's module makes, with its place in the config."""
    if isinstance(value, Brought):
        yield place, value
    inner: Any = {}
    if isinstance(value, Model):
        inner = {name: getattr(value, name) for name in type(value).model_fields}
    elif isinstance(value, dict):
        inner = value
    elif isinstance(value, list):
        inner = dict(enumerate(value))
    for key, part in inner.items():
        yield from _brought(part, (*place, key))


def _put(config: dict[str, Any], place: Place, value: Any) -> None:
    *parents, last = place
    for key in parents:
        config = config[key]
    config[last] = {**config[last], **value}  # a key that is no part of a spec stays
