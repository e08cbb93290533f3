"""The zoo's kinds: what is planted, how it is attacked, what its verdict should be, and what its twin is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

PASS, CAUGHT, ANY = "PASS", "WARN or FAIL", "not PASS if it hides more than 5 points"
TRUE = "oneshot"  # the purifier that faults are planted around
FOLDER = "benchmarks/zoo"


@dataclass(frozen=True)
class Kind:
    """One planted defence. `module` and `keys` are of a purifier, `head` of a classifier's head in place of one.

    `twin` names the defence with the same values and the true gradient: `oneshot` where the fault is in the gradient
    alone, "honest" for the module's own twin, and none where no gradient would be of use.
    """

    name: str
    module: str
    expected: str
    keys: dict[str, Any] = field(default_factory=dict)
    twin: str | None = TRUE
    head: bool = False
    loss: str = "margin"

    def part(self, honest: bool = False) -> dict[str, Any]:
        """The config's part of it."""
        part = {"method": "python", "module": f"{FOLDER}/{self.module}.py"} | self.keys
        if self.head:
            return part
        return part | {"diffusion": "unet", "sigmas": [0.1]} | ({"honest": True} if honest else {})


def masked(mask: str, amount: float = 1.0) -> dict[str, Any]:
    return {"mask": mask, "amount": amount}


def headed(head: str, amount: float) -> dict[str, Any]:
    return {"head": head, "amount": amount}


KINDS = [
    Kind("scaled-down", "masks", PASS, masked("scale", 1e-3)),
    Kind("scaled-up", "masks", PASS, masked("scale", 1e3)),
    Kind("low-4", "masks", CAUGHT, masked("low frequencies", 4)),
    Kind("low-8", "masks", CAUGHT, masked("low frequencies", 8)),
    Kind("half-pixels", "masks", CAUGHT, masked("pixels")),
    Kind("no-green", "masks", CAUGHT, masked("colour")),
    Kind("rounded", "rounding", CAUGHT, {"levels": 8}, twin="honest"),
    Kind("soft-rounded", "rounding", CAUGHT, {"levels": 8, "soft": 10.0}, twin="honest"),
    Kind("detached", "detached", CAUGHT, {"part": "all"}),
    Kind("half-detached", "detached", ANY, {"part": "half the draws"}),
    Kind("residual-detached", "detached", ANY, {"part": "noise estimate"}),
    Kind("waves", "waves", CAUGHT, twin="honest"),
    Kind("other-sigma", "mismatched", ANY, {"backward_sigma": 0.02}),
    Kind("other-noise", "mismatched", ANY, {"backward_step": 1}),
    Kind("memoriser", "memoriser", CAUGHT, {"stack": "results/zoo/images/test"}, twin=None),
    Kind("constant", "constant", CAUGHT, twin=None),
    Kind("gate", "gate", CAUGHT),
    Kind("soft-jpeg", "soft_jpeg", PASS, twin=None),
    Kind("tanh-head", "head", ANY, headed("tanh", 3.0), head=True),
    Kind("softmax-head", "head", CAUGHT, headed("softmax", 3.0), head=True),
    Kind("times-30", "head", ANY, headed("scale", 30.0), head=True, loss="ce"),
    Kind("times-10000", "head", CAUGHT, headed("scale", 1e4), head=True, loss="ce"),
    Kind("noisy-head", "head", CAUGHT, headed("noise", 1.0), head=True),
]
SOUND = ["noise", TRUE, "ddpm"]  # true defences, which must pass
