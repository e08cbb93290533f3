"""The config's model of the checks that need the networks."""

from __future__ import annotations

from pydantic import Field

from assay.study.fields import Model, Name, Number

FEW = 32  # images that gradients and planted images are looked at on: every one of them says much


class Checks(Model):
    """Optional checks that run the networks; those that need none are always run.

    Each probes every attack that follows gradients, on some of the test images, and costs about as much as that attack
    does there, or a few times that.
    """

    attacks: list[Name] | None = Field(
        None,
        min_length=1,
        exclude_if=lambda attacks: attacks is None,
        description="Only these attacks are probed, say those that are made directly on a defence: what they leave is "
        "the number that counts. All that follow gradients if absent.",
    )
    eps: list[Number] | None = Field(
        None,
        min_length=1,
        exclude_if=lambda eps: eps is None,
        description="Only these of the attacks' eps; all if absent.",
    )

    images: int = Field(
        128,
        ge=2,
        le=4096,
        description="Test images that an attack is probed on, balanced. That an attack which is given more gains more "
        "than 5 points is ruled out by 60 images of which it wins none, or by 128 of which it wins two; "
        f"`gradients` and `active` look at {FEW} of them at most.",
    )
    gradients: bool = Field(
        False,
        description="Whether gradients are there, finite, and wholly those of the attack's loss, in every band of "
        "frequencies and every colour, and how much of them is noise.",
    )
    convergence: bool = Field(
        False,
        description="Whether the attack leaves less when it is made again from another start, and goes on from its "
        "best points with twice the draws.",
    )
    blinder: bool = Field(
        False,
        description="Whether attacks that see less leave less: going on from its points with the purifier's gradient "
        "taken for the identity, and by answers alone. If so, the gradient is masked.",
    )
    active: bool = Field(
        False, description="Whether the attack finds an adversarial image that is known to exist (Zimmermann 2022)."
    )

    @property
    def probes(self) -> bool:
        """Whether any of them is asked for."""
        return self.gradients or self.convergence or self.blinder or self.active

    @property
    def of_one(self) -> Checks:
        """What is probed of an attack that is, wherever else it is done."""
        return self.model_copy(update={"attacks": None, "eps": None})

    def times(self, images: int) -> float:
        """About how many times an attack's own cost on so many test images they take together.

        Those on `images` make it once more and go on for as long with twice the draws, or blindly for as long as two.
        """
        some = min(self.images, images) / images
        few = min(FEW / images, some)
        return few * (2 * self.gradients + 3 * self.active) + some * (3 * self.convergence + 3 * self.blinder)
