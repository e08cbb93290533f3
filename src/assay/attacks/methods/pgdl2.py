"""Projected gradient descent in the L2 ball.

Not torchattacks': the gradient that it takes is of the batch's mean loss, so that where it is small the step depends on
the batch's size; and at eps 0 it divides zero by zero.
"""

from __future__ import annotations

from assay.attacks.methods.projected import projected_gradient

build = projected_gradient
