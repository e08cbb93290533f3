"""The denoiser: D(x, sigma), the estimate of the clean image, and the loss that trains it.

It hides what a diffusion's network is used to: noise schedule, time steps, prediction type, data range, image size.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from assay.artifacts import Draft
from assay.diffusion.schedule import Schedule
from assay.files import AssayError
from assay.manifests import check
from assay.networks.divergence import require_weights
from assay.networks.resize import Sides, resize, resize_norm
from assay.networks.unet import halvings, load_network

if TYPE_CHECKING:
    from diffusers import UNet2DModel

    from assay.study.diffusions import Diffusion, Prediction, PublishedDiffusion


class Denoiser(nn.Module):
    """D(x, sigma) of a network that predicts the noise n, the clean data y or the velocity v.

    In pixel units x_sigma = x + sigma n. In the network's, with data y = lo + (hi - lo) x and abar the share of signal
    at the time whose noise is sigma, it sees y_t = sqrt(abar) y + sqrt(1 - abar) n, which is
    sqrt(abar) (lo + (hi - lo) x_sigma), and predicts

        epsilon   n,                                  so that D = x_sigma - sigma n
        x0        y,                                  so that D = (y - lo) / (hi - lo)
        v         sqrt(abar) n - sqrt(1 - abar) y,    so that y = sqrt(abar) y_t - sqrt(1 - abar) v
        flow      -S (hi - lo) n,                     so that D = x_sigma + sigma / (S (hi - lo)) of it

    (Salimans and Ho 2022 for v). The last is the velocity from the noisiest image, of level S, to the clean one
    (conditional flow matching with Gaussian noise, FlowPure); that network sees lo + (hi - lo) x_sigma itself. D is
    clipped to [0,1] where `clip` says so (DDPM's clip_sample). Output channels beyond the images' three, a learned
    variance, are left aside.

    A network of a `size` of its own works on images of that size only: `enter` brings images there, `leave` back.
    Noise is added between the two, since noise that is resized is no longer white. The sides of what the network
    works on must be multiples of `multiple`. The network is given its time steps times `time_scale`.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: Schedule,
        prediction: Prediction = "epsilon",
        clip: bool = True,
        size: Sides | None = None,
        multiple: int = 1,
        time_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.schedule = schedule
        self.prediction = prediction
        self.clip = clip
        self.size = size
        self.multiple = multiple
        self.time_scale = time_scale

    def enter(self, x: Tensor) -> Tensor:
        """Images (n, 3, h, w) at the size that the network works on."""
        return resize(x, self.size or tuple(x.shape[2:]))

    def leave(self, x: Tensor, like: Tensor) -> Tensor:
        """Images of the network's size at the size of the images `like`."""
        return resize(x, tuple(like.shape[2:]))

    def stretch(self, sides: Sides) -> float:
        """The most that `enter` lengthens a change of such images in L2; a certificate divides its radius by it."""
        return resize_norm(sides, self.size or sides)

    def forward(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """Images (n, 3, h, w) with noise of level sigma, one or (n,) one an image, to estimates of the clean ones."""
        clean = self.estimate(x, sigma)
        return clean.clamp(0, 1) if self.clip else clean

    def estimate(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        """The estimates before they are clipped: gradients flow through all of their values."""
        self._check_sides(x)
        low, width = self.schedule.data_range[0], self.schedule.width
        if isinstance(sigma, Tensor):
            time = torch.from_numpy(self.schedule.time_of(sigma.detach().double().cpu().numpy()))
            sigma = _column(sigma.to(x))
        else:
            time = torch.full((len(x),), self.schedule.time_of(sigma), device=x.device)
        signal = (1 + (sigma * width) ** 2) ** -0.5  # sqrt(abar)
        data = (low + width * x) * (1 if self.prediction == "flow" else signal)
        predicted = self._predict(data, time.to(x.device, torch.float32))
        if self.prediction == "epsilon":
            return x - sigma * predicted
        if self.prediction == "x0":
            return (predicted - low) / width
        if self.prediction == "flow":
            return x + sigma / (width * self.schedule.highest) * predicted
        return (signal * data - signal * sigma * width * predicted - low) / width

    def loss(self, clean: Tensor, place: Tensor, noise: Tensor, top: float) -> Tensor:
        """The training loss (n,) of images (n, 3, h, w) in [0,1] of the network's size, with noise of their shape.

        `place` (n,) in [0, 1) says where in the trained range, from nothing up to sigma `top`, each one's level lies:
        t = floor(place (last + 1)), with `last` the schedule's first step that reaches `top`. The loss is the mean
        squared error of what the network predicts at y_t = sqrt(abar_t) y + sqrt(1 - abar_t) n, with y the images in
        the data range (for flow at y + sqrt((1 - abar_t) / abar_t) n): for epsilon Ho et al. (2020), eq. 14.
        """
        self._check_sides(clean)
        time = self._time(place, top)
        abar = _column(torch.from_numpy(self.schedule.abar).to(clean.device)[time])
        signal, spread = abar.sqrt().to(clean), (1 - abar).sqrt().to(clean)
        data = self.schedule.data_range[0] + self.schedule.width * clean
        farthest = self.schedule.width * self.schedule.highest
        targets = {
            "epsilon": noise,
            "x0": data,
            "v": signal * noise - spread * data,
            "flow": -farthest * noise,
        }
        seen = signal * data + spread * noise
        predicted = self._predict(seen / signal if self.prediction == "flow" else seen, time).to(clean)
        return (predicted - targets[self.prediction]).square().mean((1, 2, 3))

    def level(self, place: Tensor, top: float) -> Tensor:
        """The sigma (n,) at each place of the range up to `top`, float64: where `loss` has its noise."""
        return torch.from_numpy(self.schedule.sigmas).to(place.device)[self._time(place, top)]

    def _time(self, place: Tensor, top: float) -> Tensor:
        return (place.double() * (self.schedule.last_step(top) + 1)).long()

    def _predict(self, data: Tensor, time: Tensor) -> Tensor:
        return self.network(data, time * self.time_scale).sample[:, : data.shape[1]]

    def _check_sides(self, x: Tensor) -> None:
        sides = tuple(x.shape[2:])
        if self.size and sides != self.size:
            raise ValueError(f"images of {sides} pixels; the network works on {self.size}, see Denoiser.enter")
        if any(side % self.multiple for side in sides):
            raise AssayError(
                f"the diffusion takes images whose sides are multiples of {self.multiple}, found "
                f"{sides[0]} by {sides[1]} pixels; name another diffusion"
            )


def _column(values: Tensor) -> Tensor:
    """One value an image (n,) as (n, 1, 1, 1)."""
    return values.view(-1, 1, 1, 1)


def denoiser_of(network: UNet2DModel, diffusion: Diffusion | PublishedDiffusion, clip: bool = True) -> Denoiser:
    """The denoiser of a U-Net, as the config describes its diffusion."""
    schedule = Schedule(diffusion.schedule, diffusion.time_steps, diffusion.data_range)
    size = network.config.sample_size
    sides = (size, size) if isinstance(size, int) else size and tuple(size)
    multiple = 2 ** halvings(network)
    return Denoiser(network, schedule, diffusion.prediction, clip, sides, multiple, diffusion.time_scale)


def write_diffusion(draft: Draft, denoiser: Denoiser) -> None:
    """Write a diffusion into its artifact: the network in diffusers' layout, the rest into the manifest."""
    schedule, network = denoiser.schedule, denoiser.network
    draft.facts |= {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "schedule": schedule.kind,
        "time_steps": schedule.time_steps,
        "data_range": list(schedule.data_range),
        "prediction": denoiser.prediction,
        "time_scale": denoiser.time_scale,
        "clip": denoiser.clip,
        "size": denoiser.size and list(denoiser.size),
    }
    network.save_pretrained(draft.folder, safe_serialization=True)


def load_denoiser(folder: Path, device: torch.device) -> Denoiser:
    """The denoiser of a diffusion's folder, trained or published, frozen and in evaluation mode."""
    require_weights(folder)
    facts = check(folder, "diffusion")["facts"]
    schedule = Schedule(facts["schedule"], facts["time_steps"], tuple(facts["data_range"]))
    network = load_network(folder).to(device, memory_format=torch.channels_last)
    size, multiple = facts["size"] and tuple(facts["size"]), 2 ** halvings(network)
    denoiser = Denoiser(network, schedule, facts["prediction"], facts["clip"], size, multiple, facts["time_scale"])
    return denoiser.eval().requires_grad_(False)
