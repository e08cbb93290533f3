"""Projected gradient descent in the L-infinity ball (Madry et al. 2018)."""

from __future__ import annotations

from assay.attacks.methods.projected import projected_gradient

build = projected_gradient
