"""How the study was made: its artifacts, what each stage took, and what ran them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from assay.reporting.read import Artifact
from assay.words import duration


@dataclass(frozen=True)
class Times:
    """What one rule's jobs took."""

    rule: str
    jobs: int
    total: str
    mean: str
    memory: str
    share: float


def kinds(artifacts: list[Artifact]) -> dict[str, int]:
    """How many artifacts of each kind the study has."""
    return dict(Counter(artifact.stage for artifact in artifacts))


def unknown_inputs(artifacts: list[Artifact]) -> int:
    """How many inputs match no artifact by hash: their source was made again or deleted since."""
    known = {artifact.hash for artifact in artifacts}
    inputs = [item for artifact in artifacts for item in artifact.manifest.get("inputs", {}).items()]
    return sum(label != "sigma" and read not in known for label, read in inputs)


def times(benchmarks: pd.DataFrame) -> list[Times]:
    """Jobs, seconds and peak memory of each rule, the longest first; none where nothing was timed."""
    whole = benchmarks["s"].sum()
    by_rule = [(rows["s"].sum(), rule, rows) for rule, rows in benchmarks.groupby("rule")]
    return [
        Times(
            rule=rule,
            jobs=len(rows),
            total=duration(total),
            mean=duration(rows["s"].mean()),
            memory="–" if rows["max_rss"].isna().all() else f"{rows['max_rss'].max():,.0f} MB",
            share=total / whole if whole else 0.0,
        )
        for total, rule, rows in sorted(by_rule, key=lambda found: (-found[0], found[1]))
    ]


def makers(artifacts: list[Artifact]) -> list[tuple[str, str, str]]:
    """(what, value, stages): each library's versions and the devices, with the stages that they made."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for artifact in artifacts:
        manifest = artifact.manifest
        pairs = [*sorted(manifest.get("versions", {}).items()), ("device", str(manifest.get("device", "unknown")))]
        for pair in pairs:
            found.setdefault(pair, {})[artifact.stage] = None
    return [(what, value, ", ".join(stages)) for (what, value), stages in sorted(found.items())]
