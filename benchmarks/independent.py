"""An independent attack on a finished study: does it leave less than the study's own strongest attack?

    python benchmarks/independent.py results/demo --eps 8/255 --out independent.jsonl

Everything here but the networks is written again, from the papers: the loader, the purifiers, the noise, the attack
(PGD-100 with EOT-16 and momentum, three restarts) and the choice of the strongest attack. So a fault of the library's
own attack is not repeated. For each defended cell (classifier, purifier, sigma, eps) it attacks the study's test images
from scratch, judges its points on fresh draws, and prints:

    report    the accuracy of `strongest.csv`
    again     the same attacks' stored images, chosen and judged on the fresh draws of this program
    left      what the independent attack leaves, on the same fresh draws
    - report  left minus report, in points, paired by image, with its standard error
    - again   left minus again

It takes studies with images as large as the diffusion's, threats in the L-infinity ball, and the purifiers noise,
oneshot, ddim and ddpm. What is in the file already is not run again.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from torch import Tensor
from torch.nn import functional

from assay.networks.classifier import load_classifier
from assay.networks.unet import load_network

ROOM = 32  # images that go through the networks at once
CHECK_EVERY, CHECKED = 10, 64  # steps between two checks of the points, and the fresh draws of each check
FINAL = 128  # draws on which the points of the restarts are compared; and, fresh ones, on which the best is judged
MOMENTUM = 0.75
FIRST_STEP, LAST_STEP = 0.25, 0.01  # in eps; a cosine lies between

Defence = Callable[[Tensor], Tensor]  # images (n, 3, h, w) in [0,1] to logits (n, classes), with fresh noise each time
Loss = Callable[[Tensor, Tensor], Tensor]


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """The logit of the right class minus the highest other one (n,)."""
    right = functional.one_hot(labels, logits.shape[1]).bool()
    return logits[right] - logits.masked_fill(right, -math.inf).amax(1)


# One for each restart; each is raised. The last is a smooth count of right answers, which is what is judged.
LOSSES: list[tuple[str, Loss]] = [
    ("margin", lambda logits, labels: -margin(logits, labels)),
    ("cross-entropy", lambda logits, labels: functional.cross_entropy(logits, labels, reduction="none")),
    ("smooth accuracy", lambda logits, labels: -torch.sigmoid(margin(logits, labels))),
]


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_images(folder: Path) -> tuple[list[str], Tensor, Tensor]:
    """The ids, the images (n, 3, h, w) in [0,1] and the labels (n,) of a stack."""
    rows = read_rows(folder / "table.csv")
    stored = np.asarray(tifffile.imread(folder / "images.tif"))
    stored = stored.reshape(len(rows), *stored.shape[-3:])
    images = torch.from_numpy(stored.astype(np.float64) / np.iinfo(stored.dtype).max).permute(0, 3, 1, 2)
    return [row["id"] for row in rows], images.float().contiguous(), torch.tensor([int(row["label"]) for row in rows])


def read_defence(results: Path, row: dict[str, str], generator: torch.Generator) -> Defence:
    """The defended classifier of a row of `strongest.csv`, as its purified clean images' manifest describes it."""
    sigma = float(row["sigma"])
    folders = (results / "purified/clean" / row["defence"]).glob("sigma-*/manifest.json")
    specs = [read_json(path) for path in folders]
    spec = next(spec["spec"]["purifier"] for spec in specs if math.isclose(spec["facts"]["sigma"], sigma))
    classifier = load_classifier(results / "classifiers" / row["classifier"], torch.device("cpu"))

    def gaussian(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator)

    if spec["method"] == "noise":
        return lambda x: classifier((x + sigma * gaussian(x)).clamp(0, 1))
    folder = results / "diffusions" / spec["diffusion"]
    network = load_network(folder).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    steps = 1 if spec["method"] == "oneshot" else spec["steps"]
    facts = read_json(folder / "manifest.json")["facts"]
    purify = sampled(network, facts, spec["method"], sigma, steps, gaussian)
    return lambda x: classifier(purify(x))


def sampled(
    network: Callable[..., Any], facts: dict[str, Any], method: str, sigma: float, steps: int | None,
    gaussian: Callable[[Tensor], Tensor],
) -> Callable[[Tensor], Tensor]:  # fmt: skip
    """x -> x + sigma n, and down again by a sampler; `facts` describe what the network was trained on."""
    if facts["prediction"] != "epsilon":
        raise SystemExit(f"a diffusion predicts {facts['prediction']}; this program knows the noise (epsilon) only")
    low, high = facts["data_range"]
    abar = shares_of_signal(facts["schedule"], facts["time_steps"])
    levels = np.sqrt(1 / abar - 1) / (high - low)  # sigma by time step, in pixel units
    ladder = levels_down(levels, sigma, steps)

    def denoise(x: Tensor, level: float) -> Tensor:
        """The estimate of the clean image, (y_t - sqrt(1 - abar) n) / sqrt(abar) of Ho et al. (2020), in pixels."""
        when = float(np.interp(math.log(level), np.log(levels), np.arange(len(levels))))
        signal = 1 / math.sqrt(1 + ((high - low) * level) ** 2)
        predicted = network(signal * (low + (high - low) * x), torch.full((len(x),), when)).sample[:, :3]
        clean = x - level * predicted
        return clean.clamp(0, 1) if facts["clip"] else clean

    def purify(x: Tensor) -> Tensor:
        x = x + sigma * gaussian(x)
        for level, following in zip(ladder, [*ladder[1:], 0.0], strict=True):
            clean = denoise(x, level)
            ratio = following / level
            if method == "ddpm":  # the posterior of Ho et al. (2020), eq. 7, for y_t / sqrt(abar_t)
                x = clean + ratio**2 * (x - clean)
                x = x + ratio * math.sqrt(level**2 - following**2) * gaussian(x) if following else x
            else:  # Song et al. (2021), eq. 12 without new noise
                x = clean + ratio * (x - clean)
        return x.clamp(0, 1)

    return purify


def shares_of_signal(schedule: str, steps: int) -> np.ndarray:
    """abar by time step: Ho et al. (2020), linear, or Nichol and Dhariwal (2021), cosine."""
    if schedule == "linear":
        return np.cumprod(1 - np.linspace(1e-4, 0.02, steps))
    curve = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - curve[1:] / curve[:-1], 0.999))


def levels_down(levels: np.ndarray, sigma: float, steps: int | None) -> list[float]:
    """The noise levels of a sampler from sigma down, without the last, 0: even in time, or all of the schedule."""
    last = float(np.interp(math.log(sigma), np.log(levels), np.arange(len(levels))))
    every = np.arange(math.ceil(last - 1e-9) - 1, -1, -1.0)
    times = every if steps is None else np.linspace(last, 0, steps + 1)[1:-1]
    return [sigma, *np.exp(np.interp(times, np.arange(len(levels)), np.log(levels))).tolist()]


def in_turn(count: int, draws: int) -> Iterator[slice]:
    """Images that go through the networks together, each `draws` times."""
    size = max(1, ROOM // draws)
    return (slice(first, first + size) for first in range(0, count, size))


@torch.no_grad()
def margins(defence: Defence, x: Tensor, labels: Tensor, draws: int) -> Tensor:
    """Margins (n, draws) over fresh draws."""
    found = [
        margin(defence(x[rows].repeat_interleave(draws, 0)), labels[rows].repeat_interleave(draws)).view(-1, draws)
        for rows in in_turn(len(x), draws)
    ]
    return torch.cat(found)


def gradient(defence: Defence, x: Tensor, labels: Tensor, loss: Loss, draws: int) -> Tensor:
    """The gradient of the mean loss over fresh draws (n, 3, h, w): expectation over transformation."""
    parts = []
    for rows in in_turn(len(x), draws):
        leaf = x[rows].clone().requires_grad_()
        value = loss(defence(leaf.repeat_interleave(draws, 0)), labels[rows].repeat_interleave(draws))
        parts.append(torch.autograd.grad(value.sum(), leaf)[0] / draws)
    return torch.cat(parts)


def on_grid(x: Tensor, images: Tensor, eps: float) -> Tensor:
    """Points as an 8-bit file would hold them, in the ball, where eps is whole on that grid; else as they are."""
    x = images + (x - images).clamp(-eps, eps)
    if abs(255 * eps - round(255 * eps)) > 1e-6:
        return x.clamp(0, 1)
    centre, reach = (255 * images).round(), round(255 * eps)
    return (centre + ((255 * x).round() - centre).clamp(-reach, reach)).clamp(0, 255) / 255


def attack(
    defence: Defence, images: Tensor, labels: Tensor, eps: float, steps: int, draws: int, restarts: int,
    generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """The best points of all restarts (n, 3, h, w). An image that all of CHECKED fresh draws get wrong asks no more."""
    points = images.clone()
    is_open = torch.ones(len(images), dtype=torch.bool)
    finalists = [images.clone()]
    for _, loss in (LOSSES * restarts)[:restarts]:
        rows = is_open.nonzero().flatten()
        best, lowest = images.clone(), torch.full((len(images),), math.inf)
        x = images[rows] + eps * (2 * torch.rand(images[rows].shape, generator=generator) - 1)
        x, velocity = x.clamp(0, 1), torch.zeros_like(x)
        for step in range(steps):
            if not len(rows):
                break
            found = gradient(defence, x, labels[rows], loss, draws)
            velocity = MOMENTUM * velocity + found / found.abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-30)
            size = LAST_STEP + (FIRST_STEP - LAST_STEP) * (1 + math.cos(math.pi * step / steps)) / 2
            x = images[rows] + (x + size * eps * velocity.sign() - images[rows]).clamp(-eps, eps)
            x = x.clamp(0, 1)
            if (step + 1) % CHECK_EVERY and step + 1 < steps:
                continue
            stored = on_grid(x, images[rows], eps)
            checked = margins(defence, stored, labels[rows], CHECKED)
            value = (checked > 0).float().mean(1) + 1e-3 * torch.tanh(checked.mean(1))
            better = value < lowest[rows]
            lowest[rows[better]], best[rows[better]] = value[better], stored[better]
            stays = (checked > 0).any(1)
            is_open[rows[~stays]] = False
            rows, x, velocity = rows[stays], x[stays], velocity[stays]
        finalists.append(best)
        broken = (lowest <= 0).view(-1, 1, 1, 1)
        points = torch.where(broken, best, points)
    rows = is_open.nonzero().flatten()
    if len(rows):
        values = torch.stack([
            (found > 0).float().mean(1) + 1e-3 * torch.tanh(found.mean(1))
            for found in (margins(defence, one[rows], labels[rows], FINAL) for one in finalists)
        ])  # fmt: skip
        points[rows] = torch.stack(finalists)[values.argmin(0), rows]
    return points


def reported(results: Path, places: list[str]) -> np.ndarray:
    """The share of draws (n,) that are right where each image meets the attack that its other draws choose."""
    right, by = [], []
    for place in places:
        logits = np.load(results / "scores" / place / "logits.npy").astype(np.float64)
        labels = np.array([int(row["label"]) for row in read_rows(results / "scores" / place / "table.csv")])
        own = np.take_along_axis(logits, labels[:, None, None], 2)[..., 0]
        others = logits.copy()
        np.put_along_axis(others, labels[:, None, None], -np.inf, 2)
        right.append(logits.argmax(2) == labels[:, None])
        by.append(own - others.max(2))
    return chosen(np.stack(right), np.stack(by))


def chosen(right: np.ndarray, by: np.ndarray) -> np.ndarray:
    """The share of draws (n,) that are right; verdicts and margins (attacks, n, draws). One attack for all images is
    taken where the choice for each image leaves more than that."""
    alone = right.mean(2)[right.mean((1, 2)).argmin()]
    if len(right) == 1 or right.shape[2] == 1:
        return alone
    shares = np.empty(right.shape[1:])
    for draw in range(right.shape[2]):
        rest = np.delete(right, draw, 2).sum(2), np.delete(by, draw, 2).mean(2)
        attack = np.lexsort((rest[1], rest[0]), axis=0)[0]
        shares[:, draw] = right[attack, np.arange(right.shape[1]), draw]
    return shares.mean(1) if shares.mean() <= alone.mean() else alone


def again(defence: Defence, stacks: list[Tensor], labels: Tensor) -> np.ndarray:
    """What the study's stored attacks leave of each image (n,), chosen on some fresh draws and judged on others."""
    found = np.stack([margins(defence, stack, labels, 2 * FINAL).numpy() for stack in stacks])
    first, last = found[..., :FINAL], found[..., FINAL:]
    attack = ((first > 0).mean(2) + 1e-3 * np.tanh(first.mean(2))).argmin(0)
    return (last > 0).mean(2)[attack, np.arange(len(labels))]


def run(results: Path, row: dict[str, str], args: argparse.Namespace) -> dict[str, Any]:
    """What is left of each image in one defended cell, by the report and by the independent attack."""
    generator = torch.Generator().manual_seed(args.seed)
    defence = read_defence(results, row, generator)
    ids, images, labels = read_images(results / "images/test")
    names = row["attacks"].split()
    cell = ("classifier", "norm", "eps", "defence", "sigma")
    places = [
        next(own["scores"] for own in read_rows(results / "summary.csv")
             if own["attack"] == name and all(own[key] == row[key] for key in cell))
        for name in names
    ]  # fmt: skip
    stacks = [read_images(results / "adversarial" / "/".join(place.split("/")[1:-2])) for place in places]
    if any(stack[0] != ids for stack in stacks):
        raise SystemExit(f"{results}: an attack is not of all test images; this program compares all of them")
    rows = slice(0, args.images)
    images, labels = images[rows], labels[rows]
    began = time.process_time()
    points = attack(defence, images, labels, float(row["eps"]), args.steps, args.draws, args.restarts, generator)
    seconds = time.process_time() - began
    return {
        **{key: row[key] for key in cell},
        "accuracy": float(row["accuracy"]),
        "attacks": names,
        "report": reported(results, places)[rows].tolist(),
        "clean": (margins(defence, images, labels, 16) > 0).float().mean(1).tolist(),
        "again": again(defence, [stack[1][rows] for stack in stacks], labels).tolist(),
        "left": (margins(defence, points, labels, FINAL) > 0).float().mean(1).tolist(),
        "seconds": seconds,
    }


def difference(a: list[float], b: list[float]) -> str:
    """The mean of a - b in points, with its standard error."""
    gap = 100 * (np.array(a) - np.array(b))
    return f"{gap.mean():+.1f} ± {gap.std(ddof=1) / math.sqrt(len(gap)):.1f}"


def table(found: list[dict[str, Any]]) -> Iterator[str]:
    yield "| cell | images | clean | report | again | left | - report | - again | CPU s |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for one in found:
        name = f"{one['classifier']}, {one['defence']} {one['sigma']}, eps {255 * float(one['eps']):g}/255"
        shares = " | ".join(f"{100 * np.mean(one[key]):.1f}" for key in ("clean", "report", "again", "left"))
        gaps = " | ".join(difference(one["left"], one[key]) for key in ("report", "again"))
        yield f"| {name} | {len(one['left'])} | {shares} | {gaps} | {one['seconds']:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="a finished study's folder")
    parser.add_argument("--eps", help="one eps only, as 8/255 or a number; all of strongest.csv if absent")
    parser.add_argument("--purifiers", nargs="*", help="some only, as oneshot or oneshot:0.1")
    parser.add_argument("--images", type=int, default=None, help="the first so many; all if absent")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--draws", type=int, default=16)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True, help="what was measured, a line of JSON a cell")
    args = parser.parse_args()
    torch.set_num_threads(1)
    above, _, below = (args.eps or "").partition("/")
    eps = float(above) / float(below or 1) if args.eps else None
    found = [json.loads(line) for line in args.out.read_text().splitlines()] if args.out.is_file() else []
    for row in read_rows(args.results / "strongest.csv"):
        cell = tuple(row[key] for key in ("classifier", "norm", "eps", "defence", "sigma"))
        named = {row["defence"], f"{row['defence']}:{float(row['sigma']):g}"}
        if row["defence"] == "none" or row["norm"] != "Linf" or (args.purifiers and not named & {*args.purifiers}):
            continue
        if eps is not None and not math.isclose(float(row["eps"]), eps, rel_tol=1e-6):
            continue
        if any(cell == tuple(one[key] for key in ("classifier", "norm", "eps", "defence", "sigma")) for one in found):
            continue
        found.append(run(args.results, row, args))
        with args.out.open("a") as file:
            file.write(json.dumps(found[-1]) + "\n")
        print(f"{' '.join(cell)}: done in {found[-1]['seconds']:.0f} s of CPU", flush=True)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
