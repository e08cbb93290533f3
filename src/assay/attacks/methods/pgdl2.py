"""Projected gradient descent in the L2 ball."""

from __future__ import annotations

from assay.attacks.methods.projected import projected_gradient

build = projected_gradient
