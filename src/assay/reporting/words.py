"""How the report says things: numbers, names and the glossary."""

from __future__ import annotations

import math
from typing import Any

from assay.planning.cells import eps_token, sigma_token
from assay.words import count as count
from assay.words import duration as duration

# What the reader must picture of each threat: (a clause that follows a number, the glossary's line).
THREATS = {
    "transfer": (
        "when the attacker does not know of it",
        "The attack is made against the bare classifier, then shown to the defended one. "
        "The weakest threat: the attacker does not know that there is a defence.",
    ),
    "adaptive": (
        "when the attacker attacks through it",
        "The attack follows the exact gradient through purifier and classifier, averaged over fresh draws.",
    ),
    "bpda": (
        "when the attacker attacks it with the purifier's gradient replaced by the identity",
        "The forward pass goes through the purifier, the backward pass around it.",
    ),
    "surrogate": (
        "when the attacker attacks through a cheaper stand-in for it",
        "The attack follows the gradient of a purifier with fewer steps.",
    ),
    "locked": (
        "when the attacker attacks through it and knows its noise",
        "The defence's noise is fixed and known to the attacker.",
    ),
    "blackbox": (
        "when the attacker can only query it",
        "The attacker sees the defended classifier's answers and no gradient.",
    ),
}

MAX_LEVELS = 32

GLOSSARY = {
    "study": "One config file and everything made from it.",
    "classifier": "The network that is attacked and, perhaps, protected.",
    "diffusion": "A network trained to remove Gaussian noise; the purifiers use it.",
    "purifier": "Adds noise of level sigma to an image, then brings it back down with a diffusion. "
    "A purifier of the method noise only adds the noise: it is the control that tells what the diffusion contributes.",
    "defence": "A purifier at one sigma, or none. Defence and classifier together are the defended classifier.",
    "sigma": "Standard deviation of the noise that a purifier adds, in pixel units: images lie in [0,1].",
    "eps": "Radius of the ball around each image in which the attack may move, in the same pixel units; "
    "1/255 is one grey level.",
    "norm": "How the ball measures distance: Linf bounds every pixel, L2 the root of the summed squares.",
    "attack": "A search inside the ball for an image that the victim gets wrong.",
    "victim": "What the attacker differentiates: the bare classifier or a defended one.",
    "threat": "How much of the defence the attacker can use.",
    "draw": "One realisation of a defence's noise. Accuracy is the mean over images and draws; "
    "worst: an image counts only if every draw is right.",
    "accuracy": "Share of right answers; the brackets hold its 95\u00a0% interval over the test images.",
    "majority": "Right where most draws of an image are: what asking several times and voting gives.",
    "worst of k": "The chance that k draws of an image are all right: what is left to a defence whose attacker may "
    "ask k times and needs one wrong answer.",
    "all or nothing": "An image counts only if it is right under every attack and in every draw.",
    "kept": "What is left under attack as a share of the same measure on clean images.",
    "beats": "Better on the same images, and so much that chance would rarely do it: paired, and corrected by Holm's "
    "method for all pairs of its table, so that a table names a winner where there is none once in twenty times at "
    "most.",
    "check": "A test of the measuring itself: whether a number is what it seems. A check that fails takes the numbers "
    "that rest on it out of use; one that warns says what to bear in mind.",
    "cell": "One classifier, attack, eps, defence and sigma, judged on the same test images as every other cell.",
}


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage, with a no-break space."""
    return f"{100 * share:.{digits}f}\u00a0%"


def number(share: float) -> str:
    """A share as a percentage without its sign; a dash where nothing was measured."""
    return "–" if math.isnan(share) else f"{100 * share:.1f}"


def bracket(low: float, high: float) -> str:
    """An interval of shares, in whole percent."""
    return f"[{100 * low:.0f},\u00a0{100 * high:.0f}]"


def eps_label(eps: float) -> str:
    """An eps as people write it: `8/255` where it is a few grey levels, else its decimals."""
    return eps_token(eps).replace("_", "/") if eps <= MAX_LEVELS / 255 else f"{eps:.10g}"


def sigma_label(sigma: float) -> str:
    return sigma_token(sigma)


def defence_label(defence: str, sigma: float) -> str:
    """A defence's name within a sentence."""
    return "no defence" if defence == "none" else f"{defence} at sigma {sigma_token(sigma)}"


def defence_name(defence: str, sigma: float) -> str:
    """A defence's name in a table."""
    return "no defence" if defence == "none" else f"{defence} {sigma_token(sigma)}"


def threat_clause(threat: str) -> str:
    return THREATS[threat][0] if threat in THREATS else f"under the threat {threat}"


def readable_config(value: Any, key: str = "") -> Any:
    """The config with each eps as people write it, and without keys that are not set."""
    if isinstance(value, dict):
        return {name: readable_config(inner, name) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [readable_config(inner, key) for inner in value]
    return eps_label(value) if key == "eps" and "/" in eps_label(value) else value
