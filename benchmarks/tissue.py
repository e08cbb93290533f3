"""How hard is a task of the phantom? What a small ResNet, a classifier of colour histograms, and an attack make of it.

    PYTHONPATH=src python benchmarks/tissue.py tissue

On one core. Prints the CPU time of the training, accuracies in percent with 95% intervals, and a confusion matrix.
"""

import argparse
import importlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from assay.evaluation.statistics.intervals import wilson
from assay.networks.classifier import build_classifier
from assay.stacks import to_pixels
from assay.study.classifiers import Network

NETWORK = Network(
    network="timm/resnet18", arguments={"layers": [1, 1, 1, 1], "channels": [16, 32, 64, 128]}, small_stem=True
)
EPS = 8 / 255
STEPS = 20
BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=("tumour", "tissue", "lesion"))
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--train", type=int, default=9216)
    parser.add_argument("--test", type=int, default=2304)
    parser.add_argument("--attacked", type=int, default=504)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generate = importlib.import_module(f"assay.data.phantom.{arguments.task}").generate
    train, labels = generate(arguments.seed, "train", range(arguments.train), arguments.size)
    test, truth = generate(arguments.seed, "test", range(arguments.test), arguments.size)
    _say("colour histograms, logistic regression", _by_histogram(train, labels, test, linear=True) == truth)
    _say("colour histograms, two-layer network", _by_histogram(train, labels, test, linear=False) == truth)
    began = time.process_time()
    model = _trained(train, labels, arguments.epochs, arguments.seed)
    seconds = time.process_time() - began
    print(f"ResNet trained on {len(train)} images for {arguments.epochs} epochs: {seconds:.0f} CPU s")
    found = _predicted(model, to_pixels(test))
    _say("ResNet", found == truth)
    some, their = to_pixels(test[: arguments.attacked]), truth[: arguments.attacked]
    _say(f"ResNet under PGD, eps 8/255, {STEPS} steps", _predicted(model, _attacked(model, some, their)) == their)
    print("Confusion matrix (rows: truth, columns: found), percent:")
    counts = np.zeros((truth.max() + 1,) * 2)
    np.add.at(counts, (truth, found), 1)
    for row in 100 * counts / counts.sum(axis=1, keepdims=True):
        print("".join(f"{value:6.1f}" for value in row))


def _say(what: str, correct: np.ndarray) -> None:
    low, high = wilson(int(correct.sum()), len(correct))
    print(f"{what}: {100 * correct.mean():.1f}% [{100 * low:.1f}, {100 * high:.1f}] of {len(correct)}", flush=True)


def _histograms(images: np.ndarray) -> np.ndarray:
    """Square roots of the shares of 32 levels of each channel, and of 6³ colours (n, 312)."""
    flat = images.reshape(len(images), -1, 3)
    levels = [np.eye(32, dtype=np.float32)[flat[..., channel] // 8].mean(axis=1) for channel in range(3)]
    bins = flat.astype(int) * 6 // 256 @ [36, 6, 1]
    colours = np.stack([np.bincount(row, minlength=216) for row in bins]) / bins.shape[1]
    return np.sqrt(np.concatenate([*levels, colours], axis=1)).astype(np.float32)


def _by_histogram(train: np.ndarray, labels: np.ndarray, test: np.ndarray, linear: bool) -> np.ndarray:
    """The classes (n,) that a classifier of colour histograms finds, fitted with the better of four penalties."""
    torch.manual_seed(0)
    x, y = torch.from_numpy(np.concatenate([_histograms(part) for part in np.array_split(train, 16)])), labels
    mean, std = x.mean(dim=0), x.std(dim=0) + 1e-3
    x, y = (x - mean) / std, torch.from_numpy(y.astype("int64"))
    kept = len(x) * 4 // 5
    candidates = []
    for decay in (1e-3, 1e-2, 1e-1, 1.0):
        classes = int(y.max()) + 1
        head = (
            nn.Linear(x.shape[1], classes)
            if linear
            else nn.Sequential(nn.Linear(x.shape[1], 128), nn.ReLU(), nn.Linear(128, classes))
        )
        optimiser = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=decay)
        for _ in range(40):
            for rows in torch.randperm(kept).split(128):
                optimiser.zero_grad()
                F.cross_entropy(head(x[rows]), y[rows]).backward()
                optimiser.step()
        candidates.append(((head(x[kept:]).argmax(1) == y[kept:]).float().mean().item(), decay, head))
    head = max(candidates, key=lambda candidate: candidate[0])[2]
    return head((torch.from_numpy(_histograms(test)) - mean) / std).argmax(1).numpy()


def _trained(images: np.ndarray, labels: np.ndarray, epochs: int, seed: int) -> nn.Module:
    """The demo's network, by the demo's recipe: AdamW, one cycle, flips."""
    torch.manual_seed(seed)
    model = build_classifier(NETWORK, int(labels.max()) + 1).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    wanted = torch.from_numpy(labels.astype("int64"))
    for _ in range(epochs):
        for rows in torch.randperm(len(images))[: steps // epochs * BATCH].split(BATCH):
            x = torch.from_numpy(to_pixels(images[rows.numpy()]))
            x = x.flip(3) if torch.rand(()) < 0.5 else x
            x = x.flip(2) if torch.rand(()) < 0.5 else x
            optimiser.zero_grad()
            F.cross_entropy(model(x.contiguous(memory_format=torch.channels_last)), wanted[rows]).backward()
            optimiser.step()
            schedule.step()
    return model.eval().requires_grad_(False)


def _predicted(model: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return torch.cat([model(part).argmax(1) for part in torch.from_numpy(x).split(256)]).numpy()


def _attacked(model: nn.Module, x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """PGD from a random start, each step EPS / 8."""
    torch.manual_seed(0)
    clean, wanted = torch.from_numpy(x), torch.from_numpy(labels.astype("int64"))
    found = (clean + EPS * (2 * torch.rand_like(clean) - 1)).clamp(0, 1)
    for _ in range(STEPS):
        found.requires_grad_(True)
        gradient = torch.autograd.grad(F.cross_entropy(model(found), wanted, reduction="sum"), found)[0]
        found = found.detach() + EPS / 8 * gradient.sign()
        found = (clean + (found - clean).clamp(-EPS, EPS)).clamp(0, 1)
    return found.numpy()


if __name__ == "__main__":
    main()
