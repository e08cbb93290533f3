"""The zoo's kinds: what is planted, how it is attacked, what its verdict should be, and what its twin is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FOLDER = "benchmarks/zoo"
TRUE = "oneshot"  # the purifier that faults are planted around
SOUND = ["noise", TRUE, "ddpm"]  # true defences, which must pass
CLASSIFIER = "resnet"
HONEST = "-honest"  # at the end of a twin's name

PASS = "PASS"
CAUGHT = "WARN or FAIL"
ANY = "any, if it hides little"  # what hides much must be caught all the same


@dataclass(frozen=True)
class Kind:
    """One planted defence: a purifier before the classifier, or with `head` what is done to the logits behind it.

    `twin` names the cell with the same values and the true gradient: of the true purifier, or of the bare classifier,
    where the fault is in the gradient alone; of an honest twin of its own; none where no gradient would be of use.
    """

    name: str
    module: str
    expected: str
    keys: dict[str, Any] = field(default_factory=dict)
    twin: str | None = TRUE
    head: bool = False
    loss: str = "margin"

    def part(self) -> dict[str, Any]:
        """The config's part of it."""
        part = {"method": "python", "module": f"{FOLDER}/{self.module}.py"} | self.keys
        return part if self.head else part | {"diffusion": "unet", "sigmas": [0.1]}


def masked(name: str, expected: str, mask: str, amount: float = 1.0, **keys: Any) -> Kind:
    """The true purifier with a part of its gradient left out, or another size of it."""
    return Kind(name, "masks", expected, {"mask": mask, "amount": amount} | keys)


def with_twin(name: str, module: str, expected: str, **keys: Any) -> list[Kind]:
    """A fault that changes the values, and its honest twin: a declared stand-in, since its gradient is of others."""
    honest = Kind(name + HONEST, module, PASS, keys | {"honest": True, "backward": False}, twin=None)
    return [Kind(name, module, expected, keys, twin=honest.name), honest]


def headed(name: str, expected: str, head: str, amount: float, loss: str = "margin") -> Kind:
    """The bare classifier with something done to its logits."""
    return Kind(name, "head", expected, {"head": head, "amount": amount}, CLASSIFIER, head=True, loss=loss)


KINDS = [
    masked("scaled-down", PASS, "scale", 1e-3),
    masked("scaled-up", PASS, "scale", 1e3),
    masked("low-4", CAUGHT, "low frequencies", 4),
    masked("low-8", CAUGHT, "low frequencies", 8),
    masked("half-pixels", CAUGHT, "pixels"),
    masked("no-green", CAUGHT, "colour"),
    masked("low-8-on-the-way", CAUGHT, "low frequencies", 8, on_the_way=True),
    masked("low-8-declared", ANY, "low frequencies", 8, backward=False),
    masked("half-pixels-declared", ANY, "pixels", backward=False),
    *with_twin("rounded", "rounding", CAUGHT, levels=8),
    *with_twin("soft-rounded", "rounding", CAUGHT, levels=8, soft=10.0),
    *with_twin("waves", "waves", CAUGHT),
    Kind("detached", "detached", CAUGHT, {"part": "all"}),
    Kind("detached-declared", "detached", CAUGHT, {"part": "all", "backward": False}),
    Kind("half-detached", "detached", ANY, {"part": "half the draws"}),
    Kind("residual-detached", "detached", ANY, {"part": "noise estimate"}),
    Kind("other-sigma", "mismatched", ANY, {"backward_sigma": 0.02}),
    Kind("other-noise", "mismatched", ANY, {"backward_step": 1}),
    Kind("gate", "gate", CAUGHT),
    Kind("memoriser", "memoriser", CAUGHT, {"stack": "results/zoo/images/test"}, twin=None),
    Kind("constant", "constant", CAUGHT, twin=None),
    Kind("soft-jpeg", "soft_jpeg", PASS, twin=None),
    headed("tanh-head", CAUGHT, "tanh", 3.0),
    headed("softmax-head", CAUGHT, "softmax", 3.0),
    headed("times-30", PASS, "scale", 30.0),
    headed("times-30-entropy", ANY, "scale", 30.0, loss="ce"),
    headed("times-10000-entropy", CAUGHT, "scale", 1e4, loss="ce"),
    headed("noisy-head", CAUGHT, "noise", 1.0),
]
