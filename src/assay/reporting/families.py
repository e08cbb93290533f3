"""Attacks that belong in one picture: the same search under different threats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

TRANSFER = "transfer"


@dataclass(frozen=True)
class Family:
    """Attacks by threat, one each, that share method and norm."""

    norm: str
    attacks: dict[str, str]

    @property
    def title(self) -> str:
        *first, last = self.attacks.values()
        return f"{', '.join(first)} and {last}" if first else last

    @property
    def key(self) -> str:
        """A name without spaces."""
        return "-".join(self.attacks.values())

    def rows(self, summary: pd.DataFrame) -> pd.DataFrame:
        """The summary's rows of these attacks."""
        return summary[summary["attack"].isin(self.attacks.values())]


def families(summary: pd.DataFrame, attacks: dict[str, Any]) -> list[Family]:
    """The summary's attacks, grouped; in the order in which they stand, transfer attacks first."""
    known = summary[summary["attack"] != "none"].drop_duplicates("attack")
    known = known.sort_values("threat", key=lambda threats: threats != TRANSFER, kind="stable")
    found: list[tuple[tuple[str, str], Family]] = []
    for row in known.itertuples():
        key = (attacks.get(row.attack, {}).get("method", row.attack), row.norm)
        home = next((family for other, family in found if other == key and row.threat not in family.attacks), None)
        if home is None:
            found.append((key, Family(row.norm, {row.threat: row.attack})))
        else:
            home.attacks[row.threat] = row.attack
    return [family for _, family in found]
