"""What Ankile, Midgley and Weisshaar publish for PCam: single runs on 1,000 test images at eps 2/255."""

from __future__ import annotations

from assay.diffusion.schedule import Schedule

IMAGES = 1000
EPS = 2 / 255
SIGMA_STEP = 40  # their t*, on images left in [0,1]
KEPT = 0.88  # "88 % of the original accuracy"

# (standard accuracy, robust accuracy) by what protects the classifier
BARS = {
    "vanilla": (0.87, 0.062),
    "noise": (0.66, 0.58),
    "trained": (0.70, 0.57),
    "diffusion": (0.85, 0.75),
}

# Their time steps count noise on images in [0,1], where most diffusions are trained on [-1,1].
SCHEDULE = Schedule("linear", 1000, (0.0, 1.0))
USUAL_SCHEDULE = Schedule("linear", 1000, (-1.0, 1.0))


def paper_step(sigma: float) -> float:
    """The paper's time step t (0-based) of a sigma in pixel units; beyond its schedule, the schedule's end."""
    return SCHEDULE.time_of(min(max(sigma, float(SCHEDULE.sigmas[0])), float(SCHEDULE.sigmas[-1])))


def paper_sigma(step: int) -> float:
    """The sigma in pixel units of one of the paper's time steps."""
    return float(SCHEDULE.sigmas[step])
