"""What a report was made from: a line in its page that holds the study's name and the seals of its tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from assay.files import AssayError

LINE = re.compile(r'<meta name="assay" content="study=([^ "]+)((?: \w+=[0-9a-f]{64})+)">')


def origin_text(study: str, seals: Mapping[str, str]) -> str:
    """The line's content."""
    return " ".join([f"study={study}", *(f"{role}={seal}" for role, seal in sorted(seals.items()))])


def read_origin(page: Path) -> tuple[str, dict[str, str]]:
    """The study that a report is of, and the seals of what it was made from, by role."""
    try:
        found = LINE.search(page.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise AssayError(f"{page}: cannot be read ({error}); name a report or a folder") from None
    if found is None:
        raise AssayError(f"{page}: does not say what it was made from; it is no report of Assay, or an early one")
    return found[1], dict(pair.split("=") for pair in found[2].split())
