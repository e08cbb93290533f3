"""Types that the config's models share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from assay.study.needs import Need, Needs


def parse_number(value: Any) -> Any:
    """A number, or a fraction written as text such as `2/255`."""
    if isinstance(value, str) and "/" in value:
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ArithmeticError):
            raise ValueError(f"'{value}' is not a number; write 0.01 or 2/255") from None
    return value


def check_unit_range(value: tuple[float, float]) -> tuple[float, float]:
    """[0, 1] or [-1, 1], the ranges that networks are published for."""
    if value not in ((0.0, 1.0), (-1.0, 1.0)):
        raise ValueError(f"{list(value)} is neither [0, 1] nor [-1, 1]; write what the network was trained on")
    return value


def check_plain(values: dict[str, Any]) -> dict[str, Any]:
    """Keys of which no model says more than that JSON can hold their values: a spec is JSON."""
    for place, value in _leaves(values, ""):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{place}: {value} is not a finite number; write one")
        if not isinstance(value, str | int | float | None):
            raise ValueError(f"{place}: {value!r} is not a text, a number or a truth value; write it in quotes")
    return values


WEIGHTS_ARGUMENTS = ("checkpoint_path", "pretrained", "pretrained_backbone", "weights", "weights_backbone")


def check_no_weights(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a network that read no weights: a file that is read so would be no part of the cache's key."""
    for name in WEIGHTS_ARGUMENTS:
        if name in arguments:
            raise ValueError(f"{name}: weights are no argument of a network; remove it, and name them under published")
    return arguments


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """What lists and mappings hold at last, each with the keys that lead there."""
    if isinstance(value, Mapping):
        inner = [(key, each) for key, each in value.items() if isinstance(key, str)]
        if len(inner) < len(value):
            raise ValueError(f"{place}: has a key that is not a text; write it in quotes")
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        inner = list(enumerate(value))
    else:
        yield place, value
        return
    for key, each in inner:
        yield from _leaves(each, f"{place}.{key}".removeprefix("."))


def check_path(value: str) -> str:
    """A path without what no path should have, and without a slash at its end."""
    if CONTROL.search(value):
        raise ValueError(f"{value!r} has a control character in it; correct the path")
    return value.rstrip("/") or "/"


def check_tracked_path(value: str) -> str:
    """A path that Snakemake is told of. It takes a name in braces for a wildcard, one in angle brackets for a path."""
    if found := SNAKEMAKE_NAME.search(value):
        raise ValueError(
            f"{value!r} has {found[0]} in it, which means something to Snakemake; rename the folder or the file, or "
            "name a link to it"
        )
    return value


def told_by(key: str, present: str, absent: str) -> Callable[[Any], str]:
    """What tells two models apart: whether a key is there. Gives the kind of a config's part, or of a model of it."""

    def kind(value: Any) -> str:
        is_present = key in value if isinstance(value, dict) else getattr(value, "kind", None) == present
        return present if is_present else absent

    return kind


MOST = 10**9  # of anything that is counted: what is more is a slip of the keyboard
LARGEST_SEED = 2**63 - 1
LONGEST_NAME = 64  # characters: what they are joined to is a file's name, which has 255 at most
LONGEST_PATH = 4096
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
SNAKEMAKE_NAME = re.compile(r"\{[^{}]*\w[^{}]*\}|<[a-z][a-z0-9_]*>")

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
MODULE_PATTERN = r"\.py$"
HUB = "hf-hub:"
HUB_PATTERN = rf"^{HUB}(?!.*\.\.)[\w.-]+/[\w.-]+(/[\w./-]+)?$"
REVISION_PATTERN = r"^[\w./-]+$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
# What a text lacks that does not match a pattern, as a message says it.
PATTERNS = {
    NAME_PATTERN: "is not a valid name; use letters, digits, - and _, and begin with a letter or digit",
    MODULE_PATTERN: "is not a Python file; name one that ends in .py",
    REVISION_PATTERN: "is not a commit of a repository; copy it from the hub",
    SHA256_PATTERN: "is not a SHA-256; write its 64 digits of 0-9 and a-f",
}


def check_published(value: str) -> str:
    """Where published weights are: a repository of the hub, or a local path."""
    if not value.startswith(HUB):
        return check_tracked_path(check_path(value))
    if not re.search(HUB_PATTERN, value):
        raise ValueError(f"{value!r} does not name a repository of the hub; write {HUB}OWNER/NAME")
    return value


Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN, max_length=LONGEST_NAME)]
LocalPath = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_PATH), AfterValidator(check_path)]
ModuleFile = Annotated[
    str, StringConstraints(pattern=MODULE_PATTERN, max_length=LONGEST_PATH), AfterValidator(check_path)
]
Published = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_PATH), AfterValidator(check_published)]
Revision = Annotated[str, StringConstraints(pattern=REVISION_PATTERN)]
Number = Annotated[float, BeforeValidator(parse_number)]
Sigma = Annotated[Number, Field(ge=0, le=10)]
UnitRange = Annotated[tuple[float, float], AfterValidator(check_unit_range)]
Sha256 = Annotated[str, StringConstraints(pattern=SHA256_PATTERN)]
Arguments = Annotated[dict[str, Any], AfterValidator(check_plain), AfterValidator(check_no_weights)]
SELECTED = "selected"  # in place of a sigma: the one that the study's selection chooses
LEVELS = ("[number]", "[word]")  # of a union that is told apart by its value; no part of a key
Level = Annotated[
    Annotated[Sigma, Tag(LEVELS[0])] | Annotated[Literal["selected"], Tag(LEVELS[1])],
    Discriminator(lambda value: LEVELS[isinstance(value, str) and "/" not in value]),
]
PositiveInt = Annotated[int, Field(gt=0, le=MOST)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Norm = Literal["Linf", "L2"]

TAGS = ("method", "source")  # the keys that say which model a part of the config is


class Model(BaseModel):
    """A part of the config. Unknown keys are refused; every key has a description, which makes the documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def needs(self) -> Needs:
        """The artifacts that whatever this describes reads, by role."""
        return {}


class Brought(Model):
    """What every part has whose code is a module of the user's own. Its further keys are the module's model's."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    entry: ClassVar[str] = "build"  # the function that the module must have

    module: ModuleFile = Field(description="The Python file with the code, from the folder that the study runs in.")
    uses: dict[Name, Need] = Field(
        {}, description="Artifacts that the module asks for, by role: `{diffusion: [diffusion, NAME]}`."
    )

    @model_validator(mode="after")
    def _further_keys_are_plain(self) -> Brought:
        check_plain(self.model_extra or {})
        return self

    @property
    def needs(self) -> Needs:
        return self.uses

    @property
    def implementation(self) -> str:
        """The file of the module."""
        return self.module

    def for_module(self) -> Brought:
        """This part without the keys that are none of the module's."""
        return self
