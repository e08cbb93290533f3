"""How much each attack leaves of a defence, and what it costs: on a study's networks and its validation images.

    python benchmarks/strength.py config/config.yaml --purifier oneshot --sigma 0.1 --eps 8/255 --out strength.jsonl

Every attack is made on the same images, and judged on the same fresh draws that no attack met; `worse` is how much more
it leaves than the one that leaves least, paired, with its standard error. Cost is in passes of an image through the
defended classifier, with and without gradient, and in CPU seconds. What is in the file already is not run again.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from pydantic import TypeAdapter
from torch import Tensor

from assay.attacks.methods.best import as_stored
from assay.attacks.methods.method import build_search
from assay.attacks.queries import Counted, answers, margins
from assay.attacks.threats.defended import Expected
from assay.attacks.threats.victim import Query, Victim, build_victim, judgement
from assay.evaluation.statistics.measures import majority
from assay.inputs import Inputs
from assay.noise import StepNoise, derive_seed, image_key, step_noise
from assay.progress import track
from assay.stacks import to_pixels
from assay.study.attacks import AnyAttack, AttackSpec
from assay.study.parse import parse_study

BATCH, JUDGED = 64, 32
ADAPTIVE = {"threat": "adaptive"}


def family(name: str, **keys: Any) -> tuple[str, dict[str, Any]]:
    return name, ADAPTIVE | keys


PLAIN = {"method": "pgd", "momentum": 0.0, "decay": "none"}
ATTACKS = dict(
    [
        family("before: quick, 10 x 4", **PLAIN, steps=10, draws=4),
        family("before: standard, 20 x 10", **PLAIN, steps=20, draws=10),
        family("pgd 10 x 4", method="pgd", steps=10, draws=4),
        family("pgd 20 x 4", method="pgd", steps=20, draws=4),
        family("pgd 40 x 4", method="pgd", steps=40, draws=4),
        family("pgd 60 x 4", method="pgd", steps=60, draws=4),
        family("pgd 10 x 8", method="pgd", steps=10, draws=8),
        family("pgd 12 x 8", method="pgd", steps=12, draws=8),
        family("pgd 15 x 6", method="pgd", steps=15, draws=6),
        family("pgd 20 x 8", method="pgd", steps=20, draws=8),
        family("pgd 20 x 4, 2 restarts", method="pgd", steps=20, draws=4, restarts=2),
        family("pgd 40 x 4, 2 restarts", method="pgd", steps=40, draws=4, restarts=2),
        family("pgd 40 x 4, 3 restarts", method="pgd", steps=40, draws=4, restarts=3),
        family("pgd 40 x 8", method="pgd", steps=40, draws=8),
        family("pgd 100 x 4", method="pgd", steps=100, draws=4),
        family("apgd 40 x 4", method="apgd", steps=40, draws=4),
        family("pgd 100 x 16", method="pgd", steps=100, draws=16),
        family("pgd 100 x 16, 3 restarts", method="pgd", steps=100, draws=16, restarts=3),
        family("pgd 100 x 16, no image leaves", method="pgd", steps=100, draws=16, early_leaving=False),
        family("quick", method="pgd", preset="quick"),
        family("standard", method="pgd", preset="standard"),
        family("quick, mirrored noise", method="pgd", preset="quick", noise="mirrored"),
        family("quick, the same noise at each step", method="pgd", preset="quick", noise="same"),
        family("quick, majority", method="pgd", preset="quick", objective="majority", selection_draws=9),
    ]
)


class Mirrored(Victim):
    """A victim whose queries meet pairs of opposite noise, z and -z (antithetic variates); judgements are its own."""

    def __init__(self, victim: Expected) -> None:
        super().__init__()
        self.victim = victim

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        if query.judges:
            return self.victim(x, keys, query)
        count = len(query.draws)
        repeated = x.repeat_interleave(count, dim=0)
        draws = torch.tensor(query.draws).repeat(len(x))
        seed = derive_seed(self.victim.seed, query.purpose)
        noise = step_noise(seed, keys.repeat_interleave(count), draws // 2, repeated)
        signs = (1 - 2 * (draws % 2)).view(-1, 1, 1, 1).to(x.dtype)
        return self.victim.attacked(repeated, Signed(noise, signs)).unflatten(0, (len(x), count))


@dataclass(frozen=True)
class Signed:
    """Noise times a sign for each image."""

    noise: StepNoise
    signs: Tensor

    def __call__(self, step: int) -> Tensor:
        return self.signs * self.noise(step)

    def like(self, images: Tensor) -> Signed:
        return replace(self, noise=self.noise.like(images))


class Same(Victim):
    """A victim whose queries all meet the noise of the first (common random numbers); judgements are its own."""

    def __init__(self, victim: Expected, draws: int) -> None:
        super().__init__()
        self.victim, self.draws = victim, draws

    def forward(self, x: Tensor, keys: Tensor, query: Query) -> Tensor:
        if query.judges:
            return self.victim(x, keys, query)
        first = query.draws.start % self.draws
        return self.victim(x, keys, replace(query, draws=range(first, first + len(query.draws))))


def run(attack_keys: dict[str, Any], args: argparse.Namespace, inputs: Inputs, purifier: dict[str, Any]) -> dict:
    """The share of draws that each image is right in after an attack, and what the attack cost."""
    noise = attack_keys.get("noise")
    keys_of_attack = {key: value for key, value in attack_keys.items() if key != "noise"}
    attack = TypeAdapter(AnyAttack).validate_python(keys_of_attack | {"eps": [args.eps]})
    spec = AttackSpec(attack=attack, purifier=purifier, batch_size=BATCH, seed=args.seed)
    true = build_victim(spec, inputs)
    asked = Mirrored(true) if noise == "mirrored" else Same(true, attack.draws) if noise == "same" else true
    victim, stack = Counted(asked), inputs.images()
    search, seconds = build_search(attack, victim, len(stack.classes), args.seed), 0.0
    right, votes = [], []
    starts = range(0, args.images, BATCH)
    for first in track(starts, f"{args.purifier}, {attack.method}", len(starts), unit="batches"):
        rows = slice(first, min(first + BATCH, args.images))
        x = torch.from_numpy(to_pixels(stack.images[rows]))
        labels = torch.from_numpy(stack.labels[rows].astype("int64"))
        keys = torch.tensor([image_key(name) for name in stack.ids[rows]])
        began = time.process_time()
        stored = as_stored(search(x, labels, keys), x, attack)
        seconds += time.process_time() - began
        logits = answers(true, stored, keys, judgement("verdict", JUDGED), room=BATCH)
        right += (margins(logits, labels) > 0).double().mean(1).tolist()
        votes += (majority(logits.numpy()) == labels.numpy()).tolist()
    costs = {"gradients": victim.with_gradient, "forwards": victim.without_gradient, "seconds": seconds}
    return {"right": right, "votes": votes, **{name: value / args.images for name, value in costs.items()}}


def table(found: dict[str, dict], against: str | None) -> Iterable[str]:
    """The lines of a table in Markdown, in the order of the attacks.

    Each is compared with the attack `against`, or with the one that leaves least of those that are on the most images;
    on the images that both were made on.
    """
    rights = {name: np.array(one["right"]) for name, one in found.items()}
    most = max(map(len, rights.values()))
    whole = [name for name, right in rights.items() if len(right) == most]
    least = rights[against or min(whole, key=lambda name: rights[name].mean())]
    yield "| attack | images | gradients | forwards | CPU s | left % | worse by | of the vote left % |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, one in found.items():
        shared = min(len(least), len(rights[name]))
        gap = 100 * (rights[name][:shared] - least[:shared])
        error = gap.std(ddof=1) / len(gap) ** 0.5
        cost = f"{len(rights[name])} | {one['gradients']:.0f} | {one['forwards']:.0f} | {one['seconds']:.2f}"
        worse = f"{100 * rights[name].mean():.1f} | {gap.mean():.1f} ± {error:.1f} | {100 * np.mean(one['votes']):.1f}"
        yield f"| {name} | {cost} | {worse} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a study's config; its networks must be there")
    parser.add_argument("--purifier", required=True, help="its name in the study")
    parser.add_argument("--sigma", type=float, required=True)
    parser.add_argument("--eps", type=radius, required=True)
    parser.add_argument("--classifier", default="resnet")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--attacks", nargs="*", help="names among those of this file; all if absent")
    parser.add_argument("--attack", action="append", default=[], help="one more, as NAME=JSON")
    parser.add_argument("--against", help="the attack that others are compared with; the strongest if absent")
    parser.add_argument("--out", type=Path, required=True, help="what was measured, a line of JSON an attack")
    args = parser.parse_args()
    torch.set_num_threads(1)
    study = parse_study(yaml.safe_load(args.config.read_text()), str(args.config))
    purifier = study.purifiers[args.purifier].model_dump(mode="json") | {"sigmas": [args.sigma]}
    results = Path("results") / study.study
    folders = {"images": results / "images/validation", "classifier": results / "classifiers" / args.classifier}
    if purifier.get("diffusion"):
        folders["diffusion"] = results / "diffusions" / purifier["diffusion"]
    inputs = Inputs(folders).on(torch.device("cpu"))
    wanted = {name: ATTACKS[name] for name in (ATTACKS if args.attacks is None else args.attacks)}
    for text in args.attack:
        name, _, keys = text.partition("=")
        wanted[name] = ADAPTIVE | json.loads(keys)
    found = {}
    if args.out.is_file():
        found = {one.pop("attack"): one for one in map(json.loads, args.out.read_text().splitlines())}
    for name, keys in wanted.items():
        if name not in found:
            found[name] = run(keys, args, inputs, purifier)
            with args.out.open("a") as file:
                file.write(json.dumps({"attack": name, **found[name]}) + "\n")
    print("\n".join(table(found, args.against)))


def radius(text: str) -> float:
    """A radius as a config writes it: a number, or a fraction."""
    above, _, below = text.partition("/")
    return float(above) / float(below or 1)


if __name__ == "__main__":
    main()
