"""What all charts share: how a template is filled, and the shapes of marks and lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

RAMP = 6  # colours of the ordered palette, s0 … s5

# Shapes of marks around their place, and dashes of lines: the n-th of each is for the n-th kind of a figure.
SHAPES = (
    "M-4 0A4 4 0 1 1 4 0A4 4 0 1 1 -4 0Z",
    "M0 -5L5 0L0 5L-5 0Z",
    "M-3.7 -3.7H3.7V3.7H-3.7Z",
    "M0 -5L4.7 3.5H-4.7Z",
    "M0 5L4.7 -3.5H-4.7Z",
    "M-1.6 -4.6H1.6V-1.6H4.6V1.6H1.6V4.6H-1.6V1.6H-4.6V-1.6H-1.6Z",
)
DASHES = ("none", "6 3", "2 2", "8 3 2 3", "4 2", "8 2 2 2 2 2")

_ENVIRONMENT = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
)


def ramp(position: int, of: int) -> str:
    """The colour of one of `of` ordered things, spread over the ordered palette."""
    return f"s{round(position * (RAMP - 1) / max(of - 1, 1))}"


def shape(style: int) -> str:
    """The path of the n-th kind's mark, around (0, 0)."""
    return SHAPES[style % len(SHAPES)]


def dash(style: int) -> str:
    """The dashes of the n-th kind's line."""
    return DASHES[style % len(DASHES)]


def draw(template: str, **content: Any) -> Markup:
    """The figure that a template makes."""
    return Markup(_ENVIRONMENT.get_template(template).render(content).strip())


_ENVIRONMENT.globals |= {"shape": shape, "dash": dash, "pct": lambda share: f"{100 * share:.2f}%"}
