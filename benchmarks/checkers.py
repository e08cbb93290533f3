"""Check the checkers: whole studies of planted defences, whose faults are known, and the verdict that each gets.

    make checkers
    python benchmarks/checkers.py --cores 2 [--base config/config.yaml] [--images 128] [--kinds low-4 detached]

Writes benchmarks/ZOO.md when all kinds are run on the base study's own networks. What a fault hides is what the study's
attack leaves of it, less what the same attack leaves of its twin, which has the same values and the true gradient:
paired on the same images, with the standard error. Ends with 1 where a fault that hides more than 5 points passes, or a
true defence does not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from assay.evaluation.checks.finding import PASS
from assay.evaluation.scores import read_scores
from assay.reporting.read import read_checks
from assay.reporting.trust import Checked, places_of

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks/zoo"))
from kinds import CAUGHT, FOLDER, KINDS, SOUND, TRUE, Kind  # noqa: E402

STUDY, TWINS = "zoo", "zoo-honest"
HIDDEN = 5.0  # points that no defence may hide and pass
PAGE = "benchmarks/ZOO.md"
HEADER = ["kind", "left", "hides", "should be", "is", "because of"]


def study(base: dict[str, Any], kinds: list[Kind], images: int) -> dict[str, Any]:
    """The config of the study of the kinds, on the networks of a base config; every check is asked for."""
    purifiers = {name: base["purifiers"][name] | {"sigmas": [0.1]} for name in SOUND}
    purifiers |= {kind.name: kind.part() for kind in kinds if not kind.head}
    inner = {key: base["classifiers"]["resnet"][key] for key in ("network", "arguments", "small_stem")}
    weights = f"results/{STUDY}/classifiers/resnet/model.safetensors"
    heads = {kind.name: kind.part() | {"inner": inner, "published": weights} for kind in kinds if kind.head}
    adaptive = {"method": "pgd", "threat": "adaptive", "eps": ["8/255"], "preset": "quick"}
    crossed = [{"classifiers": ["resnet"], "attacks": ["adaptive-margin"], "purifiers": list(purifiers)}]
    crossed += [
        {"classifiers": [kind.name], "attacks": [f"adaptive-{kind.loss}"], "purifiers": [TRUE]}
        for kind in kinds
        if kind.head
    ]
    return base | {
        "study": STUDY,
        "classifiers": {"resnet": base["classifiers"]["resnet"]} | heads,
        "purifiers": purifiers,
        "attacks": {f"adaptive-{loss}": adaptive | {"loss": loss} for loss in sorted({"margin", *losses(kinds)})},
        "cross": crossed,
        "evaluation": base["evaluation"] | {"images": images},
        "checks": {"images": images, "gradients": True, "convergence": True, "blinder": True, "active": True},
    }


def losses(kinds: list[Kind]) -> set[str]:
    return {kind.loss for kind in kinds}


def twins(config: dict[str, Any], kinds: list[Kind]) -> dict[str, Any] | None:
    """The config of the study of the twins that have values of their own; nothing checks it. None without any."""
    purifiers = {kind.name: kind.part(honest=True) for kind in kinds if kind.twin == "honest"}
    if not purifiers:
        return None
    return {key: part for key, part in config.items() if key != "checks"} | {
        "study": TWINS,
        "classifiers": {"resnet": config["classifiers"]["resnet"]},
        "purifiers": purifiers,
        "attacks": {"adaptive-margin": config["attacks"]["adaptive-margin"]},
        "cross": [{"attacks": ["adaptive-margin"], "purifiers": list(purifiers)}],
    }


def networks(config: dict[str, Any]) -> dict[str, Any]:
    """The config without heads: their weights are a file that must be there before a study with them is planned."""
    bare = {"resnet": config["classifiers"]["resnet"]}
    return config | {"classifiers": bare, "cross": [rule for rule in config["cross"] if rule["classifiers"] == [*bare]]}


def snakemake(config: dict[str, Any], cores: int, *options: str) -> None:
    """Run a study, or a part of it, for real."""
    place = ROOT / "results" / f"{config['study']}.yaml"
    place.write_text(yaml.safe_dump(config, sort_keys=False))
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--configfile", str(place), *options]
    subprocess.run(command, cwd=ROOT, check=True)


def cell(study: str, classifier: str, purifier: str) -> str:
    """The place of the scores of the adaptive attack on a defence, as the study's summary names it."""
    summary = pd.read_csv(ROOT / "results" / study / "summary.csv", keep_default_na=False)
    here = (summary["classifier"] == classifier) & (summary["defence"] == purifier)
    (row,) = summary[here & summary["attack"].str.startswith("adaptive")].to_dict("records")
    return row["scores"]


def right(study: str, classifier: str, purifier: str) -> np.ndarray:
    """The share of draws (images,) in which the attacked images are still answered rightly."""
    return read_scores(ROOT / "results" / study / cell(study, classifier, purifier)).correct.mean(1)


def judged(name: str, kind: Kind | None) -> dict[str, Any]:
    """A row of the table: what is left of a kind, or of a true defence, what is hidden, and its verdict."""
    classifier, purifier = (name, TRUE) if kind and kind.head else ("resnet", name)
    left = right(STUDY, classifier, purifier)
    row = {"kind": name, "left": f"{100 * left.mean():.1f} %", "hides": "–", "hidden": 0.0}
    if kind and kind.twin:
        honest = right(TWINS, "resnet", name) if kind.twin == "honest" else right(STUDY, "resnet", kind.twin)
        gap = 100 * (left - honest)
        row["hidden"] = gap.mean()
        row["hides"] = f"{gap.mean():+.1f} ± {gap.std(ddof=1) / len(gap) ** 0.5:.1f}"
    checks = read_checks(ROOT / "results" / STUDY / "checks.csv")
    scores = cell(STUDY, classifier, purifier)
    places = set(places_of(scores))
    mine = checks[[bool(places & set(subject.split())) for subject in checks["subject"]]]
    row["is"] = Checked(checks)([scores]).status
    because = mine.loc[(mine["status"] == row["is"]) & (row["is"] != PASS), "check"]
    row["because of"] = ", ".join(dict.fromkeys(because))
    row["should be"] = kind.expected if kind else PASS
    row["wrong"] = not as_it_should(row)
    return row


def as_it_should(row: dict[str, Any]) -> bool:
    """Whether a verdict is right: sound and harmless ones pass, and nothing that is to be caught or hides much does."""
    if row["should be"] == PASS:
        return row["is"] == PASS
    return row["is"] != PASS or (row["should be"] != CAUGHT and row["hidden"] <= HIDDEN)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown; a wrong verdict is marked."""
    shown = [row | {"is": f"**{row['is']}** (wrong)" if row["wrong"] else row["is"]} for row in rows]
    lines = ["| " + " | ".join(HEADER) + " |", "|" + " --- |" * len(HEADER)]
    return "\n".join(lines + ["| " + " | ".join(str(row[key]) for key in HEADER) + " |" for row in shown]) + "\n"


def page(rows: list[dict[str, Any]], base: str, images: int) -> str:
    return (
        "# The zoo: planted defences, and what the checks say of them\n\n"
        f"Written by `make checkers`, on the networks of `{base}` and {images} images, from whole studies. `left` is\n"
        "what the quick adaptive attack leaves at 8/255, `hides` how many points more than of the twin with the same\n"
        f"values and the true gradient, paired, ± its standard error. The kinds are in [{FOLDER}](zoo).\n\n"
    ) + table(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="config/config.yaml", help="the study whose networks are used")
    parser.add_argument("--images", type=int, default=128, help="test images")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", choices=[kind.name for kind in KINDS], help="all if absent")
    arguments = parser.parse_args()
    kinds = [kind for kind in KINDS if not arguments.kinds or kind.name in arguments.kinds]
    base = yaml.safe_load((ROOT / arguments.base).read_text())
    config = study(base, kinds, arguments.images)
    snakemake(networks(config), arguments.cores, "--until", "train_classifier", "train_diffusion")
    snakemake(config, arguments.cores)
    if honest := twins(config, kinds):
        snakemake(honest, arguments.cores)
    rows = [judged(name, None) for name in SOUND] + [judged(kind.name, kind) for kind in kinds]
    print(table(rows))
    if not arguments.kinds:
        (ROOT / PAGE).write_text(page(rows, arguments.base, arguments.images))
    return int(any(row["wrong"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
