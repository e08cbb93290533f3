"""What is told from logits."""

from __future__ import annotations

from torch import Tensor


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """z_y minus the highest other logit (n): negative where the image is misclassified."""
    own = logits.gather(1, labels[:, None])[:, 0]
    others = logits.scatter(1, labels[:, None], float("-inf"))
    return own - others.amax(1)
