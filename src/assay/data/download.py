"""Fetching one file by HTTP: whole and verified, or not there at all; an interrupted download goes on where it stood.

What has come so far lies beside the file as `.NAME.partial`, and `.NAME.partial.json` says of what: its length and the
server's tag for this version (ETag). A part is gone on with only where the server still has a file of that length, and
the same tag if it is the same address. Processes that want one file take turns, by a lock on `.NAME.lock`.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from assay.files import AssayError, checksum, checksum_name, naming_a_full_disk, write_json
from assay.progress import track

ATTEMPTS = 5  # in a row without a new byte, of all mirrors together, before giving up
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0  # seconds between those
TIMEOUT = 60.0  # seconds without an answer or a byte
BLOCK = 1 << 20
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416
GONE = (400, 401, 403, 404, 405, 410)  # no use to ask again


class _TryAgain(Exception):
    """The network or the server failed, perhaps not for long."""


class _OtherFile(_TryAgain):
    """The server has another file than the one that a part is of."""


class _NotThere(Exception):
    """This mirror will not give the file."""


@dataclass(frozen=True)
class _Identity:
    """Which file a part is of."""

    url: str
    tag: str | None
    length: int | None

    def same(self, other: _Identity) -> bool:
        """Whether a part of this file can be gone on with from the other."""
        return self.length == other.length and (self.url != other.url or self.tag == other.tag)


def fetch(path: Path, mirrors: Sequence[str], expected: str, first_pause: float = FIRST_PAUSE) -> None:
    """Have the file with the hash `expected` (SHA-256 or MD5) at `path`, from the first of the mirrors that gives it.

    A mirror is an address that the file's name is put after. One without the file, or with another one, is given up;
    one that fails is asked again, later and later. A file that is there with another hash is set aside.
    """
    if path.is_file() and checksum(path, expected) == expected:
        return
    with _turn(path):
        _fetch(path, mirrors, expected, first_pause)


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Wait until no other process fetches this file. The lock's file is removed; who waited for it takes the next."""
    lock = path.with_name(f".{path.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(lock, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"{path}: waiting for another process that fetches it", file=sys.stderr, flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:  # a file system without locks: nobody is waited for
                pass
            if not _is_at(lock, file.fileno()):
                continue
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file still lies at a path."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _fetch(path: Path, mirrors: Sequence[str], expected: str, first_pause: float) -> None:
    """Have the file at `path`, where it may lie by now, while nobody else fetches it."""
    if path.is_file():
        if (found := checksum(path, expected)) == expected:
            return
        print(f"{path}: {_set_aside(path, path, found, expected)}", file=sys.stderr)
    part = _Part(path)
    urls = [f"{mirror.rstrip('/')}/{path.name}" for mirror in mirrors]
    faults: dict[str, str] = {}
    idle, most = 0, part.size
    while urls and idle < ATTEMPTS:
        url = urls[0]
        if idle:
            time.sleep(min(first_pause * 2 ** (idle - 1), LONGEST_PAUSE))
        try:
            at_once = part.fetch_from(url)
        except _NotThere as fault:
            faults[url] = str(fault)
            urls.remove(url)
            continue
        except _TryAgain as fault:
            faults[url] = str(fault)
            print(f"{url}: {fault}", file=sys.stderr)
            idle, most = (0, part.size) if part.size > most else (idle + 1, most)
            if idle:
                urls.append(urls.pop(0))
            continue
        if (found := checksum(part.path, expected)) == expected:
            os.replace(part.path, path)
            part.forget()
            return
        faults[url] = _set_aside(part.path, path, found, expected)
        print(f"{url}: {faults[url]}", file=sys.stderr)
        part.forget()
        if at_once:  # else an earlier part may be what was wrong
            urls.remove(url)
    kept = f" (what has come is kept in {part.path.name})" if part.size else ""
    reasons = "; ".join(f"{url}: {fault}" for url, fault in faults.items())
    raise AssayError(
        f"{path}: could not be fetched{kept}: {reasons}; run again, add a mirror to images.mirrors, or, without a "
        f"network, put the file with {checksum_name(expected)} {expected} into {path.parent} yourself"
    )


def _set_aside(found: Path, path: Path, actual: str, expected: str) -> str:
    """Have a complete file that is not the wanted one out of the way; what to say of it."""
    aside = path.with_name(f"{path.name}.rejected")
    os.replace(found, aside)
    return f"{checksum_name(expected)} {actual}, expected {expected}; set aside as {aside.name}"


class _Part:
    """What has come of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f".{path.name}.partial")
        self._note = path.with_name(f".{path.name}.partial.json")
        self._label = f"fetch {path.name}"
        if self._identity() is None:
            self.forget()

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def forget(self) -> None:
        for path in (self.path, self._note):
            path.unlink(missing_ok=True)

    def fetch_from(self, url: str) -> bool:
        """Fetch what is missing. Returns whether all of the file came at once."""
        start, before = self.size, self._identity()
        if start and start == before.length:  # a run that ended before it could look at the whole
            return False
        try:
            with _ask(url, start) as answer:
                identity, first = _place(url, answer, start)
                goes_on = first in (0, start) and (not start or before.same(identity))
                if not goes_on and (first or url != before.url):
                    raise _OtherFile("has another file than the one begun")
                if not first:
                    self.forget()
                    write_json(self._note, asdict(identity))
                self._receive(answer, first, identity.length)
        except _OtherFile as fault:
            if start and url != before.url:
                raise _NotThere(str(fault)) from None
            self.forget()
            raise
        if identity.length is not None and self.size != identity.length:
            raise _TryAgain(f"the connection ended after {self.size} of {identity.length} bytes")
        return not first

    def _receive(self, answer: http.client.HTTPResponse, first: int, length: int | None) -> None:
        """Append what comes."""
        total = -(-(length or 0) // BLOCK)
        with naming_a_full_disk(self.path), open(self.path, "ab") as file:
            for block in track(_blocks(answer), self._label, total, first // BLOCK, unit="MiB"):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

    def _identity(self) -> _Identity | None:
        try:
            return _Identity(**json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None


@contextlib.contextmanager
def _ask(url: str, start: int) -> Iterator[http.client.HTTPResponse]:
    """The server's answer to a request for all of the file from byte `start` on."""
    headers = {"User-Agent": "assay", "Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        fault = _NotThere if error.code in GONE else _OtherFile if error.code == RANGE_NOT_SATISFIABLE else _TryAgain
        raise fault(f"{error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _TryAgain(_words(error)) from None
    with answer:
        yield answer


def _place(url: str, answer: http.client.HTTPResponse, start: int) -> tuple[_Identity, int]:
    """Which file an answer is of, and at which of its bytes it begins: 0 if the server gives no parts."""
    tag, length = answer.headers.get("ETag"), answer.headers.get("Content-Length", "")
    if answer.status != PARTIAL_CONTENT:
        return _Identity(url, tag, int(length) if length.isdecimal() else None), 0
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    return (_Identity(url, tag, int(found[2])), int(found[1])) if found else (_Identity(url, tag, None), start)


def _blocks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            block = answer.read(BLOCK)
        except (OSError, http.client.HTTPException) as error:
            raise _TryAgain(_words(error)) from None
        if not block:
            return
        yield block


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return " ".join(str(reason).split()) or type(error).__name__
