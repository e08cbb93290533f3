"""A config file to a study; every fault becomes one line that names the file, the key and what to do."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError

from assay.files import AssayError
from assay.study.fields import LEVELS, PATTERNS, TAGS, Model
from assay.study.model import Study, suggest

# What pydantic's kinds of faults are called here; what stands in braces is in a fault's context.
WORDS = {
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("string_type", "string_unicode"), "must be a text"),
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
    "tuple_type": "must be a list",
    "recursion_loop": "must not hold itself",
    "invalid_key": "must be a text",
}
LONGEST_SHOWN = 80  # characters of what was found


def parse_study(config: dict[str, Any], source: str) -> Study:
    """The study of a config that was read from `source`; every fault is one line of an `AssayError`."""
    try:
        return Study.model_validate(config)
    except ValidationError as error:
        faults = dict(reversed([_describe(fault) for fault in error.errors()]))  # the first one of each key or list
        raise AssayError("\n".join(one_line(f"{source}: {line}") for line in reversed(faults.values()))) from None


def one_line(text: str) -> str:
    """A text as one line: what cannot be printed, line breaks too, is spelled out."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _describe(fault: dict[str, Any]) -> tuple[str, str]:
    """One pydantic error as one line (the key as it stands in the file, what is wrong, what to do), and of what.

    The entries of a list count as one.
    """
    location, models = _resolve(part for part in fault["loc"] if part not in ("[key]", *LEVELS))
    key = ".".join(str(part) for part in location)
    message = _message(fault, location, models)
    if fault["type"] == "value_error" and isinstance(fault.get("input"), dict):  # it begins with the key inside
        inside, _, rest = message.partition(": ")
        key, message = f"{key}.{inside}".removeprefix("."), rest
    elif fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
        key = f"{key}.{fault['ctx']['discriminator']}".replace("'", "")
    return re.sub(r"(\.\d+)+$", "", key), f"{key}: {message}"


def _message(fault: dict[str, Any], location: list[Any], models: list[type[Model]]) -> str:
    given, context = fault.get("input"), fault.get("ctx", {})
    match fault["type"]:
        case "extra_forbidden":
            known = sorted({name for model in models for name in [*model.model_fields, *_telling(model)]})
            hint = suggest(str(location[-1]), known) or ("; known are " + ", ".join(known) if known else "; remove it")
            return f"unknown key{hint}"
        case "missing" | "union_tag_not_found":
            return "missing; add it (see config/README.md)"
        case "union_tag_invalid":
            tag, known = str(context["tag"]), context["expected_tags"].replace("'", "")
            return f"'{tag}' is not among {known}{suggest(tag, known.split(', '))}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "holds no keys; write them below it (see config/README.md)"
        case "list_type":
            example = f"[{given}]" if isinstance(given, str | int | float) else "its entries in [ ]"
            return f"is not a list; write {_shortened(example)}"
        case "too_short":
            found, needed = context["actual_length"], context["min_length"]
            return f"has {found} of the {needed} entries that it needs at least; add what is missing"
        case "literal_error" if LEVELS[1] in fault["loc"]:
            return f"'{given}' is not a number; write one, a fraction such as 2/255, or {context['expected']}"
        case "string_pattern_mismatch" if context["pattern"] in PATTERNS:
            return f"{_shown(given)} {PATTERNS[context['pattern']]}"
        case "value_error":
            return fault["msg"].removeprefix("Value error, ")
        case kind if kind in WORDS:
            return (
                f"{WORDS[kind].format(**{key: _whole(value) for key, value in context.items()})}, found {_shown(given)}"
            )
        case _:
            return f"{fault['msg'][0].lower()}{fault['msg'][1:]}, found {_shown(given)}"


def _whole(value: Any) -> Any:
    """A bound without a point where it is whole."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shown(value: Any) -> str:
    """What was found, shortened."""
    return _shortened(repr(value))


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


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
