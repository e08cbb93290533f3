"""Reading many small files: by threads, chunk by chunk, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from assay.progress import track

Item = TypeVar("Item")
Result = TypeVar("Result")

READERS = 8  # threads that read files
CHUNK = 512  # files read at a time


def read_in_chunks(items: Sequence[Item], read: Callable[[Item], Result], label: str) -> Iterator[list[Result]]:
    """What `read` makes of each item, in their order, chunk by chunk; each is read once."""
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    with ThreadPoolExecutor(READERS) as readers:
        for chunk in track(chunks, label, len(chunks), unit="chunks"):
            yield list(readers.map(read, chunk))
