"""The config's model of denoising blocks inside a classifier (Xie et al. 2019)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from assay.study.fields import PATTERNS, Model

PART_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$"
PATTERNS[PART_PATTERN] = "does not name a part of a network; write stages, blocks or a name such as layer1"

Weighting = Literal["non_local_gaussian", "non_local_dot_product", "bilateral_gaussian", "bilateral_dot_product"]
Operation = Literal[Weighting, "mean", "median", "null"]
EMBEDDED = ("non_local_gaussian", "bilateral_gaussian")  # as the paper has them, if the config does not say
WEIGHTED = (*EMBEDDED, "non_local_dot_product", "bilateral_dot_product")
MOST_PARTS = 1000


def name_null(value: Any) -> Any:
    """YAML's null as the name of the operation."""
    return "null" if value is None else value


def as_list(value: Any) -> Any:
    """A bare word as a list of it alone."""
    return [value] if isinstance(value, str) else value


Part = Annotated[str, StringConstraints(pattern=PART_PATTERN, max_length=200)]
Parts = list[Part]


class Denoise(Model):
    """Denoising blocks inside a classifier (Xie et al. 2019, Feature Denoising for Improving Adversarial Robustness).

    Of features x, a block gives x + BN(W D(x)) with a 1 by 1 convolution W and the denoising operation D.
    """

    operation: Annotated[Operation, BeforeValidator(name_null, json_schema_input_type=Operation | None)] = Field(
        description="What denoises: weighted means over all places (`non_local_gaussian`: a softmax, as in the paper's "
        "main network; `non_local_dot_product`) or over 3 by 3 places (`bilateral_gaussian`, "
        "`bilateral_dot_product`); the `mean` or `median` of 3 by 3 places; `null`: nothing, the convolution alone."
    )
    after: Annotated[Parts, BeforeValidator(as_list, json_schema_input_type=str | Parts)] = Field(
        ["stages"],
        min_length=1,
        max_length=MOST_PARTS,
        description="Where blocks stand: after the last residual block of each stage (`stages`, four in a ResNet), "
        "after every residual block (`blocks`), or after parts of the network by name, such as `[layer2, layer3]`.",
    )
    embed: bool | None = Field(
        None,
        description="Compare places by two learned 1 by 1 convolutions to half the channels instead of by the features "
        "themselves. Yes with Gaussian weights and no with dot products if absent, as in the paper.",
    )
    projection: bool = Field(True, description="The 1 by 1 convolution; `false` is the paper's first ablation.")
    residual: bool = Field(
        True, description="The features are added to what is denoised; `false` is the paper's second ablation."
    )

    @property
    def embedded(self) -> bool:
        """Whether places are compared by learned embeddings."""
        return self.operation in EMBEDDED if self.embed is None else self.embed

    @model_validator(mode="after")
    def _consistent(self) -> Denoise:
        if self.embed and self.operation not in WEIGHTED:
            raise ValueError(f"embed: {self.operation} compares no places; remove embed, or choose another operation")
        return self
