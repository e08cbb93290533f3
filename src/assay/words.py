"""How people are told amounts: counts, times, bytes."""

from __future__ import annotations

import math


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 image`, `2 images`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds in the largest two units that matter: `3.2 s`, `2 min 10 s`, `1 h 05 min`."""
    if math.isnan(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def hours(seconds: float) -> str:
    """Seconds in hours, to two digits: `0.25`, `12`, `under 0.001`."""
    number = seconds / 3600
    if number < 0.001:
        return "under 0.001"
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def size(number: float) -> str:
    """Bytes in the unit that suits them: `312 B`, `1.3 MB`."""
    units = iter(("B", "kB", "MB", "GB", "TB", "PB"))
    unit = next(units)
    while number >= 1000 and unit != "PB":
        number, unit = number / 1000, next(units)
    return f"{number:.0f} {unit}" if number >= 100 or unit == "B" else f"{number:.2g} {unit}"
