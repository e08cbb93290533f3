"""How people are told numbers and names."""

from __future__ import annotations

import math
from typing import Any

from assay.planning.cells import eps_label, sigma_token

TOO_FEW = "too few slides"  # where an interval should be: the images come from too few slides to tell


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage: `96.9%`."""
    return f"{100 * share:.{digits}f}%"


def number(share: float) -> str:
    """A share as a percentage without its sign; a dash where nothing was measured."""
    return "–" if math.isnan(share) else f"{100 * share:.1f}"


def bracket(low: float, high: float) -> str:
    """An interval of shares in whole percent: `[92, 99]`; without bounds there were too few slides to tell."""
    return f"[{TOO_FEW}]" if math.isnan(low) else f"[{100 * low:.0f}, {100 * high:.0f}]"


def with_interval(row: Any) -> str:
    """The accuracy of a row of the summary and its interval: `96.9% [92, 99]`."""
    return f"{percent(row.accuracy)} {bracket(row.ci_low, row.ci_high)}"


def bounded(text: str, row: Any) -> str:
    """What is said of a row's accuracy, marked where that is only an upper bound: `≤ 96.9%`."""
    return f"≤ {text}" if row.upper_bound else text


def points(difference: float, low: float, high: float) -> str:
    """A difference of shares and its interval in percentage points: `-5.0 [-9.1, -0.8]`."""
    interval = TOO_FEW if math.isnan(low) else f"{100 * low:+.1f}, {100 * high:+.1f}"
    return f"{100 * difference:+.1f} [{interval}]"


def defence_label(defence: str, sigma: float) -> str:
    """A defence's name within a sentence."""
    return "no defence" if defence == "none" else f"{defence} at sigma {sigma_token(sigma)}"


def defence_name(defence: str, sigma: float) -> str:
    """A defence's name in a table."""
    return "no defence" if defence == "none" else f"{defence} {sigma_token(sigma)}"


def attack_name(row: Any) -> str:
    """An attack and its threat, each said once: `pgd (transfer)`, `pgd-adaptive`."""
    return row.attack if row.threat in row.attack else f"{row.attack} ({row.threat})"


def readable_config(value: Any, key: str = "") -> Any:
    """The config with each eps as people write it, and without keys that are not set."""
    if isinstance(value, dict):
        return {name: readable_config(inner, name) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [readable_config(inner, key) for inner in value]
    return eps_label(value) if key == "eps" and "/" in eps_label(value) else value
