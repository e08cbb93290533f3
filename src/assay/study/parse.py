"""A config file to a study; every fault becomes one line that names the file, the key and what to do."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError

from assay.files import AssayError
from assay.study.fields import LEVELS, NAME_PATTERN, TAGS, Model
from assay.study.model import Study, suggest


def parse_study(config: dict[str, Any], source: str) -> Study:
    """The study of a config that was read from `source`; every fault is one line of an `AssayError`."""
    try:
        return Study.model_validate(config)
    except ValidationError as error:
        lines = [f"{source}: {_describe(fault)}" for fault in error.errors()]
        raise AssayError("\n".join(lines)) from None


def _describe(fault: dict[str, Any]) -> str:
    """One pydantic error as one line: the key as it stands in the file, what is wrong and what to do."""
    location, models = _resolve(part for part in fault["loc"] if part not in ("[key]", *LEVELS))
    key = ".".join(str(part) for part in location)
    given = fault.get("input")
    match fault["type"]:
        case "extra_forbidden":
            known = sorted({name for model in models for name in [*model.model_fields, *_telling(model)]})
            hint = suggest(str(location[-1]), known)
            return f"{key}: unknown key{hint or '; known are ' + ', '.join(known)}"
        case "missing":
            return f"{key}: missing; add it (see config/README.md)"
        case "union_tag_invalid":
            tag, known = fault["ctx"]["tag"], fault["ctx"]["expected_tags"].replace("'", "")
            return f"{key}.{_tag_key(fault)}: '{tag}' is not among {known}{suggest(tag, known.split(', '))}"
        case "union_tag_not_found":
            return f"{key}.{_tag_key(fault)}: missing; add it (see config/README.md)"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{key}: holds no keys; write them below it (see config/README.md)"
        case "list_type":
            example = f"[{given}]" if isinstance(given, str | int | float) else "its entries in [ ]"
            return f"{key}: is no list; write {example}"
        case "too_short":
            found, needed = fault["ctx"]["actual_length"], fault["ctx"]["min_length"]
            return f"{key}: has {found} of the {needed} entries that it needs at least; add what is missing"
        case "literal_error" if LEVELS[1] in fault["loc"]:
            return f"{key}: '{given}' is no number; write one, a fraction such as 2/255, or {fault['ctx']['expected']}"
        case "string_pattern_mismatch" if fault["ctx"]["pattern"] == NAME_PATTERN:
            return f"{key}: '{given}' is no name; use letters, digits, - and _, and begin with a letter or digit"
        case "value_error":
            message = fault["msg"].removeprefix("Value error, ")
            of_a_model = isinstance(given, dict)  # then the message begins with the key inside it
            return f"{key}.{message}" if key and of_a_model else f"{key}: {message}".removeprefix(": ")
        case _:
            return f"{key}: {fault['msg'][0].lower()}{fault['msg'][1:]}, found {given!r}"


def _resolve(location: Iterable[Any]) -> tuple[list[Any], list[type[Model]]]:
    """The key's path as the user wrote it (union tags left out), and the models that stand at its parent."""
    path: list[Any] = []
    here: list[Any] = [Study]
    parents: list[Any] = []
    for part in location:
        tagged = [kind for kind in here if _is_model(kind) and _tag(kind) == part]
        if len(here) > 1 and tagged:
            here = tagged
            continue
        path.append(part)
        parents = here
        here = [inner for kind in here for inner in _inside(kind, part)]
    return path, [kind for kind in parents if _is_model(kind)]


def _inside(kind: Any, part: Any) -> list[Any]:
    if _is_model(kind):
        field = kind.model_fields.get(part)
        return [] if field is None else _alternatives(field.annotation)
    if get_origin(kind) in (dict, list):
        return _alternatives(get_args(kind)[-1])
    return []


def _alternatives(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [inner for choice in get_args(annotation) for inner in _alternatives(choice)]
    return [annotation]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Model)


def _tag(kind: type[Model]) -> str | None:
    """What stands for a model of a union in an error's location: its method or source, or its kind."""
    field = next((kind.model_fields[name] for name in TAGS if name in kind.model_fields), None)
    return get_args(field.annotation)[0] if field else getattr(kind, "kind", None)


def _telling(kind: type[Model]) -> list[str]:
    """The key that would have made another kind of what was taken for a trained one."""
    return ["published"] if _tag(kind) == "trained" else []


def _tag_key(fault: dict[str, Any]) -> str:
    return fault["ctx"]["discriminator"].strip("'")
