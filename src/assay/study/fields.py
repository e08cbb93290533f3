"""Types that the config's models share."""

from __future__ import annotations

from collections.abc import Callable
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
)

from assay.study.needs import Need, Needs


def parse_number(value: Any) -> Any:
    """A number, or a fraction written as text such as `2/255`."""
    if isinstance(value, str) and "/" in value:
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"'{value}' is no number; write 0.01 or 2/255") from None
    return value


def check_unit_range(value: tuple[float, float]) -> tuple[float, float]:
    """[0, 1] or [-1, 1], the ranges that networks are published for."""
    if value not in ((0.0, 1.0), (-1.0, 1.0)):
        raise ValueError(f"{list(value)} is neither [0, 1] nor [-1, 1]; write what the network was trained on")
    return value


def told_by(key: str, present: str, absent: str) -> Callable[[Any], str]:
    """What tells two models apart: whether a key is there. Gives the kind of a config's part, or of a model of it."""

    def kind(value: Any) -> str:
        is_present = key in value if isinstance(value, dict) else getattr(value, "kind", None) == present
        return present if is_present else absent

    return kind


MODULE_PATTERN = r"^[^\s'\"{}*?$`;&|<>()]+\.py$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
ModuleFile = Annotated[str, StringConstraints(pattern=MODULE_PATTERN)]
Number = Annotated[float, BeforeValidator(parse_number), Field(allow_inf_nan=False)]
Sigma = Annotated[Number, Field(ge=0, le=10)]
UnitRange = Annotated[tuple[float, float], AfterValidator(check_unit_range)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
SELECTED = "selected"  # in place of a sigma: the one that the study's selection chooses
LEVELS = ("[number]", "[word]")  # of a union that is told apart by its value; no part of a key
Level = Annotated[
    Annotated[Sigma, Tag(LEVELS[0])] | Annotated[Literal["selected"], Tag(LEVELS[1])],
    Discriminator(lambda value: LEVELS[isinstance(value, str) and "/" not in value]),
]
PositiveInt = Annotated[int, Field(gt=0)]
Norm = Literal["Linf", "L2"]

TAGS = ("method", "source")  # the keys that say which model a part of the config is


class Model(BaseModel):
    """A part of the config. Unknown keys are refused; every key has a description, which makes the documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def needs(self) -> Needs:
        """The artifacts that whatever this describes reads, by role."""
        return {}


class Brought(Model):
    """What every part has whose code is a module of the user's own. Its further keys are the module's model's."""

    model_config = ConfigDict(extra="allow", frozen=True)

    entry: ClassVar[str] = "build"  # the function that the module must have

    module: ModuleFile = Field(description="The Python file with the code, from the folder that the study runs in.")
    uses: dict[Name, Need] = Field(
        {}, description="Artifacts that the module asks for, by role: `{diffusion: [diffusion, NAME]}`."
    )

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
