"""Check the checkers: a whole study of planted defences, whose faults are known, and the verdict that each gets.

    make checkers
    python benchmarks/checkers.py --cores 2 [--base config/config.yaml] [--images 128] [--kinds low-4 detached]

Prints a table, which stands in benchmarks/RESULTS.md. What a fault hides is what the study's attack leaves of it, less
what the same attack leaves of its twin, which has the same values and the true gradient: paired on the same images,
with the standard error. Ends with 1 where a fault that hides more than 5 points passes, or a true defence does not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from assay.evaluation.checks.finding import FAIL, WARN
from assay.evaluation.scores import read_scores
from assay.reporting.read import read_checks
from assay.reporting.trust import Checked, places_of

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks/zoo"))
from kinds import ANY, CLASSIFIER, FOLDER, KINDS, PASS, SOUND, Kind  # noqa: E402

STUDY, BASE = "zoo", f"{FOLDER}/study.yaml"
EPS = "8/255"
HIDDEN = 5.0  # points that no defence may hide and pass
HEADER = ["defence", "left %", "hides", "should be", "is", "because of"]


def study(base: dict[str, Any], kinds: list[Kind], images: int) -> dict[str, Any]:
    """The config of the study of the kinds, on the networks of a base config; every probe is asked for.

    Purifiers are attacked by one who does not know of them, too: no verdict is whole without.
    """
    network = base["classifiers"][CLASSIFIER]
    inner = {key: network[key] for key in ("network", "arguments", "small_stem")}
    weights = f"results/{STUDY}/classifiers/{CLASSIFIER}/model.safetensors"
    purifiers = {name: base["purifiers"][name] | {"sigmas": [0.1]} for name in SOUND}
    purifiers |= {kind.name: kind.part() for kind in kinds if not kind.head}
    heads = {kind.name: kind.part() | {"inner": inner, "published": weights} for kind in kinds if kind.head}
    attacks = {attack_on(loss): pgd(loss) for loss in ("margin", *sorted({kind.loss for kind in kinds} - {"margin"}))}
    attacks |= {"adaptive": pgd("margin") | {"threat": "adaptive"}}
    of_heads = [
        {"classifiers": [kind.name], "attacks": [attack_on(kind.loss)], "purifiers": []} for kind in kinds if kind.head
    ]
    return base | {
        "study": STUDY,
        "classifiers": {CLASSIFIER: network} | heads,
        "purifiers": purifiers,
        "attacks": attacks,
        "cross": [{"classifiers": [CLASSIFIER], "attacks": ["pgd-margin", "adaptive"]}, *of_heads],
        "evaluation": base["evaluation"] | {"images": images},
        "checks": {"images": images, "gradients": True, "convergence": True, "blinder": True, "active": True},
    }


def attack_on(loss: str) -> str:
    """The name of the attack on the bare classifier by a loss."""
    return f"pgd-{loss}"


def pgd(loss: str) -> dict[str, Any]:
    return {"method": "pgd", "eps": [EPS], "preset": "quick", "loss": loss}


def networks(config: dict[str, Any]) -> dict[str, Any]:
    """The config without heads: their weights are a file that must be there before a study with them is planned."""
    return config | {"classifiers": {CLASSIFIER: config["classifiers"][CLASSIFIER]}, "cross": config["cross"][:1]}


def snakemake(config: dict[str, Any], cores: int, *options: str) -> None:
    """Run a study, or a part of it, for real."""
    place = ROOT / "results" / f"{config['study']}.yaml"
    place.write_text(yaml.safe_dump(config, sort_keys=False))
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--configfile", str(place), *options]
    subprocess.run(command, cwd=ROOT, check=True)


class Results:
    """What the study found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summary = pd.read_csv(folder / "summary.csv", keep_default_na=False)
        self.checks = read_checks(folder / "checks.csv")

    def cell(self, name: str, kind: Kind | None) -> str:
        """The place of the scores of the attack that goes through a defence: a purifier, or a head, by its name."""
        if name == CLASSIFIER or (kind and kind.head):
            wanted = (name, attack_on(kind.loss if kind else "margin"), "none")
        else:
            wanted = (CLASSIFIER, "adaptive", name)
        here = (self.summary[["classifier", "attack", "defence"]] == wanted).all(axis=1)
        (row,) = self.summary[here].to_dict("records")
        return row["scores"]

    def right(self, cell: str) -> np.ndarray:
        """The share of draws (images,) in which the attacked images are still answered rightly."""
        return read_scores(self.folder / "scores" / cell).correct.mean(1)

    def verdict(self, cell: str) -> tuple[str, list[str]]:
        """What the report says of a cell, and the checks because of which it does, each once."""
        status = Checked(self.checks)([cell]).status
        places = set(places_of(cell))
        mine = self.checks[[bool(places & set(subject.split())) for subject in self.checks["subject"]]]
        because = mine.loc[mine["status"] == status, "check"] if status != PASS else []
        return status, list(dict.fromkeys(because))


def judged(results: Results, name: str, kind: Kind | None) -> dict[str, Any]:
    """A row of the table: what is left of a kind, or of a true defence, what it hides, and its verdict."""
    cell = results.cell(name, kind)
    left = results.right(cell)
    row = {"defence": name, "left %": f"{100 * left.mean():.1f}", "hides": "", "hidden": 0.0}
    if kind and kind.twin:
        gap = 100 * (left - results.right(results.cell(kind.twin, None)))
        row["hidden"] = gap.mean()
        row["hides"] = f"{gap.mean():+.1f} ± {gap.std(ddof=1) / len(gap) ** 0.5:.1f}"
    status, because = results.verdict(cell)
    row |= {"should be": kind.expected if kind else PASS, "is": status, "because of": ", ".join(because)}
    return row | {"wrong": not as_it_should(row)}


def as_it_should(row: dict[str, Any]) -> bool:
    """Whether a verdict is right: what is sound passes; what is to be caught, or hides much, is caught."""
    if row["should be"] == PASS:
        return row["is"] == PASS
    return row["is"] in (WARN, FAIL) or (row["should be"] == ANY and row["hidden"] <= HIDDEN)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown; a wrong verdict is marked."""
    shown = [row | {"is": f"**{row['is']}** (wrong)" if row["wrong"] else row["is"]} for row in rows]
    lines = ["| " + " | ".join(HEADER) + " |", "| --- | ---: | ---: | --- | --- | --- |"]
    return "\n".join(lines + ["| " + " | ".join(str(row[key]) for key in HEADER) + " |" for row in shown]) + "\n"


def cpu_minutes(folder: Path) -> float:
    """What all jobs of a study took, when they were last run."""
    return sum(pd.read_csv(file, sep="\t")["cpu_time"].sum() for file in (folder / "benchmarks").rglob("*.tsv")) / 60


def chosen(names: list[str]) -> list[Kind]:
    """The kinds of these names, and the twins that they have."""
    twins = {kind.twin for kind in KINDS if kind.name in names}
    return [kind for kind in KINDS if kind.name in names or kind.name in twins]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default=BASE, help="the study whose networks are used")
    parser.add_argument("--images", type=int, default=128, help="test images")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--kinds", nargs="*", choices=[kind.name for kind in KINDS], help="all if absent")
    arguments = parser.parse_args()
    kinds = KINDS if arguments.kinds is None else chosen(arguments.kinds)
    config = study(yaml.safe_load((ROOT / arguments.base).read_text()), kinds, arguments.images)
    start = time.monotonic()
    snakemake(networks(config), arguments.cores, "--until", "train_classifier", "train_diffusion")
    snakemake(config, arguments.cores)
    results = Results(ROOT / "results" / STUDY)
    rows = [judged(results, name, None) for name in SOUND] + [judged(results, kind.name, kind) for kind in kinds]
    print(table(rows))
    clock = (time.monotonic() - start) / 60
    print(f"{clock:.0f} minutes by the clock; the jobs took {cpu_minutes(results.folder):.0f} of CPU")
    return int(any(row["wrong"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
