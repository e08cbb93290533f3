"""The config's model of the checks that need the networks."""

from __future__ import annotations

from pydantic import Field

from assay.study.fields import Model


class Checks(Model):
    """Optional checks that run the networks; those that need none are always run.

    Each probes every attack that follows gradients, on a few test images, and costs about as much as that attack does
    there, or a few times that.
    """

    images: int = Field(32, ge=2, le=64, description="Test images that an attack is probed on, balanced.")
    gradients: bool = Field(
        False,
        description="Whether gradients are there, finite, and those of the loss, and how much of them is noise.",
    )
    convergence: bool = Field(False, description="Whether twice the steps, or twice the draws, would have left less.")
    active: bool = Field(
        False, description="Whether the attack finds an adversarial image that is known to exist (Zimmermann 2022)."
    )

    @property
    def probes(self) -> bool:
        """Whether any of them is asked for."""
        return self.gradients or self.convergence or self.active

    @property
    def attacks(self) -> int:
        """About how many times an attack's own cost on the probed images they take together."""
        return self.gradients + 5 * self.convergence + 3 * self.active
