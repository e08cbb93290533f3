"""What every attack is: a search for a perturbation inside the ball, against a victim.

Each method is one module, `assay.attacks.methods.<method>`, with `build(attack, victim, classes, seed)`, found by name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from torch import Tensor, nn

from assay.attacks.threats.victim import Victim
from assay.logits import margin as margin  # attacks of any method judge by it
from assay.study.attacks import Attack

STEPS_OF_TRAVEL = 2.5  # default step size 2.5 eps / steps (Madry et al. 2018): the whole ball is within reach

# search(images, labels, keys): images (n, 3, h, w) in [0,1] to perturbed images; keys seed the attack's own noise
Search = Callable[[Tensor, Tensor, Tensor], Tensor]


def build_search(attack: Attack, victim: Victim, classes: int, seed: int = 0) -> Search:
    """The search of an attack's spec; `seed` is of its own noise."""
    return importlib.import_module(f"assay.attacks.methods.{attack.method}").build(attack, victim, classes, seed)


def step_size(attack: Attack) -> float:
    """The size of a step, in pixel units."""
    return STEPS_OF_TRAVEL * attack.radius / attack.steps if attack.step_size is None else attack.step_size


class MarginGradient(nn.Module):
    """A victim whose cross-entropy has the gradient of the margin, for torchattacks where it only uses the gradient.

    The values are all zero and the gradients the logits' own. At equal logits the cross-entropy of two classes has
    gradient -1/2 (grad z_y - grad z_other): the margin's direction, which never saturates (the cross-entropy of a
    confident classifier underflows to a zero gradient).
    """

    def __init__(self, victim: nn.Module) -> None:
        super().__init__()
        self.victim = victim
        self.train(victim.training)  # torchattacks restores this module's mode after an attack, victim and all

    def forward(self, x: Tensor) -> Tensor:
        logits = self.victim(x)
        return logits - logits.detach()


def for_gradients(victim: Victim, classes: int) -> nn.Module:
    """The module to hand to torchattacks' gradient attacks: the margin's gradient where classes are two."""
    return MarginGradient(victim) if classes == 2 else victim
