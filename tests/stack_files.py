"""Stacks for tests."""

from __future__ import annotations

import numpy as np
import pandas as pd

from assay.artifacts import Draft
from assay.stacks import write_images, write_table


def write_stack(draft: Draft, images: np.ndarray, table: pd.DataFrame) -> None:
    """Write a stack's images (n, height, width, 3) and table (n rows) into an artifact's draft."""
    write_images(draft, [images], len(table))
    write_table(draft, table)
