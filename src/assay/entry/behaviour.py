"""Purifiers of any form as what the library runs, `purify(x, noise)`: a pure function of images and their noise.

One that is called with images alone may draw noise by itself. Its calls of `torch.randn`, `torch.rand` and their like,
for a batch of images, are answered with noise of Assay's own, by image, draw and call: then no result depends on the
batch, and an attacker can know the noise. What is drawn in other ways is only made repeatable for a batch.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from assay.files import AssayError
from assay.noise import StepNoise, derive_seed, step_noise
from assay.purifiers.purifier import Purify

# Where the noise comes from: `given` as an argument; `replaced`: its calls of torch.randn are answered; its `own`; or
# there is `none`.
Randomness = Literal["given", "replaced", "own", "none"]
NORMAL, UNIFORM = (torch.randn, torch.randn_like), (torch.rand, torch.rand_like)
LIKE = (torch.randn_like, torch.rand_like)
SAME = 1e-3  # of a pixel, by which float order may change an image in another batch


@dataclass(frozen=True)
class Behaviour:
    """How a purifier behaves: where its noise comes from, and whether gradients flow through it."""

    randomness: Randomness
    differentiable: bool

    @property
    def threats(self) -> list[str]:
        """The threats under which gradients can be followed: noise can be known only where Assay gives it."""
        through = ["adaptive", *(["locked"] if self.randomness in ("given", "replaced") else [])]
        return ["transfer", "bpda", *(through if self.differentiable else [])]

    def __str__(self) -> str:
        return MEANT[self.randomness] + ("" if self.differentiable else NO_GRADIENT)


MEANT: dict[Randomness, str] = {
    "given": "The purifier was given Assay's noise.",
    "replaced": "The purifier's calls of torch.randn and torch.rand were answered with Assay's noise.",
    "own": "The purifier draws noise in ways that Assay cannot answer, so no attacker who knows the noise was tested.",
    "none": "The purifier is deterministic.",
}
NO_GRADIENT = " No gradient flows through it, so it was attacked by transfer and around it (bpda) only."


class Answered(TorchFunctionMode):
    """While it is entered, each call for random values of a batch of images is answered by a step of the noise."""

    def __init__(self, noise: StepNoise, images: Tensor) -> None:
        super().__init__()
        self.noise = noise
        self.images = images
        self.calls = 0

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: Sequence[Any] = (), options: Any = None
    ) -> Any:
        options = options or {}
        if function not in NORMAL + UNIFORM:
            return function(*arguments, **options)
        place = self._place(function, arguments, options)
        if len(place.shape) < 2 or place.shape[0] != len(self.images):
            return function(*arguments, **options)
        values = self.noise.like(place)(self.calls)
        self.calls += 1
        return torch.special.ndtr(values) if function in UNIFORM else values

    def _place(self, function: Callable[..., Any], arguments: Sequence[Any], options: dict[str, Any]) -> Tensor:
        """A tensor without values, of the shape, type and device that the call asks for."""
        if function in LIKE:
            like, sizes = arguments[0], arguments[0].shape
        else:
            like = torch.empty(0)
            sizes = options.get("size", arguments[0] if isinstance(arguments[0], Sequence) else arguments)
        kind, device = options.get("dtype") or like.dtype, options.get("device") or like.device
        return torch.empty(tuple(sizes), dtype=kind, device=device)


def as_function(purify: Callable[..., Tensor]) -> tuple[Purify, bool]:
    """A purifier as a function of images and noise, and whether it takes the noise itself."""
    if _takes_noise(purify):
        return purify, True

    def answered(x: Tensor, noise: StepNoise) -> Tensor:
        with torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
            torch.manual_seed(_seed_of(noise) >> 1)
            with Answered(noise, x):
                return purify(x)

    return answered, False


def behaviour_of(purify: Purify, takes_noise: bool, images: Tensor) -> Behaviour:
    """How a purifier behaves, as some calls on a few images (n, 3, h, w) show."""

    def run(x: Tensor, draw: int) -> Tensor:
        return purify(x, step_noise(0, list(range(len(x))), [draw] * len(x), x))

    with torch.no_grad():
        first, again, other, alone = run(images, 0), run(images, 0), run(images, 1), run(images[:1], 0)
    if not isinstance(first, Tensor) or first.shape != images.shape:
        found = tuple(first.shape) if isinstance(first, Tensor) else type(first).__name__
        raise AssayError(f"purify: gives {found} for images {tuple(images.shape)}; return images of the same shape")
    randomness: Randomness = "given" if takes_noise else "replaced"
    if not torch.equal(first, again) or not torch.allclose(first[:1], alone, atol=SAME):
        randomness = "own"
    elif torch.equal(first, other):
        randomness = "none"
    return Behaviour(randomness, run(images.clone().requires_grad_(), 0).requires_grad)


def _takes_noise(purify: Callable[..., Tensor]) -> bool:
    """Whether it is called with the noise too: where it has a second argument without a default."""
    try:
        known = inspect.signature(purify.forward if isinstance(purify, nn.Module) else purify).parameters.values()
    except (TypeError, ValueError):  # as of a function in C
        return False
    places = [each for each in known if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return len([each for each in places if each.default is each.empty]) >= 2


def _seed_of(noise: StepNoise) -> int:
    """A seed of all that the noise depends on."""
    keys, draws = (torch.as_tensor(values).tolist() for values in (noise.keys, noise.draws))
    return derive_seed(noise.seed, "own", keys, draws)
