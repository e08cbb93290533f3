"""Progress of long work: a bar with rate and end time on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
SECONDS_BETWEEN_LINES = 10.0


def track(items: Iterable[Item], label: str, total: int, done: int = 0, unit: str = "steps") -> Iterator[Item]:
    """Yield the items, reporting on standard error. `done` of `total` were finished by an earlier run."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=label, total=total, initial=done, unit=unit)
        return
    start = last = time.monotonic()
    finished = done
    for item in items:
        yield item
        finished += 1
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES and finished < total:
            last = now
            rate = (finished - done) / (now - start)
            left = (total - finished) / rate
            print(f"{label}: {finished}/{total} {unit}, {rate:.2f} a second, {clock(left)} left", file=sys.stderr)
    print(f"{label}: {finished}/{total} {unit} in {clock(time.monotonic() - start)}", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
