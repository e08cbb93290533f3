"""The config's model of what is measured, and the spec of classify."""

from __future__ import annotations

import math

from pydantic import Field

from assay.study.fields import MOST, Model, Name, PositiveInt, is_unused

USUAL_BATCH = 64
LOGITS, SCORED = "logits.npy", "table.csv"  # the files of an artifact of scores


class Equivalence(Model):
    """Which classifiers are as good as a reference: two one-sided tests, over seeds and images."""

    reference: Name = Field(description="The classifier that all others are held against, with all of its seeds.")
    margin: float = Field(gt=0, lt=1, description="Difference in accuracy that does not matter, such as `0.01`.")


class Evaluation(Model):
    """What is measured in every cell."""

    images: int = Field(
        gt=1, le=MOST, description="Test images, balanced over the classes; the same ones in every cell."
    )
    draws: PositiveInt = Field(
        3,
        description="Draws of each stochastic defence per image; as many as the submissions of one image whose "
        "risk is to be measured (`resubmission.csv`), say 100.",
    )
    batch_size: PositiveInt = Field(
        USUAL_BATCH, description="Images per batch in attack, purify and classify; the last batch is padded to it."
    )
    images_per_job: PositiveInt | None = Field(
        None,
        description="Images that one attack or purify job computes; a larger stack is cut at batch boundaries and put "
        "together from its parts, with the same bytes. Everything in one job if absent.",
    )

    equivalence: Equivalence | None = Field(
        None,
        exclude_if=is_unused,
        description="Test whether the classifiers are as good as a reference, `{reference: NAME, margin: 0.01}`; not "
        "tested if absent.",
    )

    def parts(self, images: int) -> list[str]:
        """The parts that a stack of so many images is computed in (`1-of-3`, …); none if one job computes it."""
        if self.images_per_job is None:
            return []
        batches = math.ceil(images / self.batch_size)
        count = math.ceil(batches / max(1, self.images_per_job // self.batch_size))
        return [f"{index}-of-{count}" for index in range(1, count + 1)] if count > 1 else []


class ClassifySpec(Model):
    """What classify reads; of so many votes in turn one answer is made."""

    batch_size: PositiveInt
    votes: PositiveInt = Field(1, exclude_if=lambda votes: votes == 1)
