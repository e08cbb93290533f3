"""The config's model of certificates, and the specs of certify and attack_certificates.

A certificate holds where the defended classifier sees an image through x + sigma n alone. Purifiers of a user's own may
see more of it, and are not certified.
"""

from __future__ import annotations

from pydantic import Field

from assay.study.fields import MOST, Level, Model, Name, Number, PositiveInt
from assay.study.purifiers import AnyPurifier

CERTIFIED = ("noise", "oneshot", "ddpm", "ddim")  # methods of purifiers that see an image through x + sigma n alone
MOST_PREDICTED = 10_000  # draws of a prediction at an attacked image
ATTACK_STEPS, ATTACK_DRAWS = 20, 16  # of an attack on a certified image; the draws of a step go through at once


class Certificates(Model):
    """Certificates of randomised smoothing (Cohen et al. 2019): a radius around each image, in L2 and pixel units,
    within which the most likely answer of a defended classifier is proven not to change.

    Each test image is classified in `draws` draws of the defence. What is certified is the vote over all draws that
    there are, not one draw of the defence.
    """

    classifiers: list[Name] | None = Field(None, min_length=1, description="Classifiers to certify; all if absent.")
    purifiers: list[Name] | None = Field(
        None,
        min_length=1,
        description="Purifiers to certify them with, at each of their sigmas; all if absent. "
        f"Only {', '.join(CERTIFIED)}: `noise` is plain smoothing, the others denoise.",
    )
    sigmas: list[Level] | None = Field(
        None, min_length=1, description="Only these of the purifiers' sigmas; all if absent."
    )
    images: int | None = Field(
        None, gt=1, le=MOST, description="Test images to certify, balanced and evenly spread; all if absent."
    )
    draws: int = Field(
        1000,
        ge=10,
        le=2**31 - 1,
        description="Draws per image (n), which bound how likely the answer is. They limit the largest radius: "
        "2.46 sigma for 1,000 and 3.81 sigma for 100,000, at the default alpha.",
    )
    selection_draws: PositiveInt = Field(100, description="Draws beforehand that choose the answer to certify (n0).")
    alpha: float = Field(0.001, gt=0, lt=0.5, description="Chance, at most, that an image's certificate is wrong.")
    radius: Number | None = Field(
        None,
        gt=0,
        description="A radius of interest (L2, pixel units), certified by a sequential test too: it stops drawing for "
        "an image as soon as it knows, after `draws` draws at most, with the same `alpha`. No such test if absent.",
    )
    attacked_images: int = Field(
        16,
        ge=0,
        le=MOST,
        description="Certified images of each defence that are attacked inside their radius, a check.",
    )


class CertifySpec(Model):
    """What certify reads: the purifier has the one sigma of the job."""

    purifier: AnyPurifier
    images: int | None
    draws: PositiveInt
    selection_draws: PositiveInt
    alpha: float
    radius: float | None
    batch_size: PositiveInt
    seed: int


class AttackCertificatesSpec(Model):
    """What attack_certificates reads: the purifier has the one sigma of the job."""

    purifier: AnyPurifier
    images: PositiveInt
    draws: PositiveInt
    alpha: float
    batch_size: PositiveInt
    seed: int
