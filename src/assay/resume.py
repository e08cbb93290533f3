"""Resuming: what a stage has finished is kept in an undeclared folder beside its artifact until that is whole.

Snakemake deletes the declared outputs of a failed job, so nothing that must outlive a crash can stand there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from assay import kept
from assay.artifacts import forget_work, work_folder
from assay.progress import track

Arrays = dict[str, np.ndarray]


class Resume:
    """The unfinished work of one artifact. `key` stands for all that the work depends on."""

    def __init__(self, artifact: Path, key: str) -> None:
        self.artifact = artifact
        self.folder = work_folder(artifact, key)
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        return self.folder / name

    def clear(self) -> None:
        """Forget the work, and any that an older spec or code left: the artifact is whole."""
        forget_work(self.artifact)

    def batches(self, batches: range, compute: Callable[[int], Arrays], label: str) -> Iterator[Arrays]:
        """The results of the batches in order; finished ones are read back, others computed and kept."""
        done = sum(self.path(f"batch-{index:06d}.npz").is_file() for index in batches)
        if done:
            print(f"{label}: resumed, {done} of {len(batches)} batches were done", file=sys.stderr)
        for index in track(batches, label, len(batches), unit="batches"):
            yield self.batch(index, compute)

    def batch(self, index: int, compute: Callable[[int], Arrays]) -> Arrays:
        """The results of one batch: read back if they were kept and are whole, else computed and kept."""
        path = self.path(f"batch-{index:06d}.npz")
        result = kept.read(path, _arrays, "computed anew")
        if result is None:
            result = compute(index)
            kept.write(path, lambda file: np.savez(file, **result))
        return result


def _arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)
