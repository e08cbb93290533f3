"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary version: files of records in a gzipped tar.

A record is a byte for each label, then 1024 bytes each of red, green and blue, row by row.
"""

from __future__ import annotations

import contextlib
import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from assay.data.in_file import drawn, index_of
from assay.data.pinned import one_line
from assay.files import AssayError
from assay.study.cifar import Cifar
from assay.study.images import ImagesSpec

LIBRARIES = ("pandas", "tifffile")


def catalogue(source: Cifar, folder: Path, scratch: Path) -> tuple[list[str], pd.DataFrame]:
    """The classes' names, and all images of both parts: id, label, part, row in the part, hash of the pixels."""
    return index_of(source, folder, _labels, _images)


def open_split(spec: ImagesSpec, index: Path, folder: Path, scratch: Path) -> tuple[pd.DataFrame, Iterator[np.ndarray]]:
    """The drawn rows of the index (id, label, pixels), and their images in chunks."""
    return drawn(spec, index, folder, _images)


def _labels(source: Cifar, part: str, folder: Path) -> np.ndarray:
    """The labels (n,) of a part."""
    labels = np.concatenate([records[:, len(source.labels) - 1] for records in _records(source, part, folder)])
    if len(wrong := labels[labels >= len(source.classes)]):
        raise AssayError(
            f"{folder / source.archive}: holds the {source.labels[-1]} {wrong[0]}; labels are 0 to "
            f"{len(source.classes) - 1}"
        )
    return labels


def _images(source: Cifar, part: str, folder: Path) -> Iterator[np.ndarray]:
    """The images of a part, a chunk a file."""
    for records in _records(source, part, folder):
        planes = records[:, len(source.labels) :].reshape(-1, 3, source.size, source.size)
        yield np.ascontiguousarray(planes.transpose(0, 2, 3, 1))


def _records(source: Cifar, part: str, folder: Path) -> Iterator[np.ndarray]:
    """The records of each file of a part, uint8 (n, bytes)."""
    path = folder / source.archive
    length = len(source.labels) + 3 * source.size**2
    with _opened(path) as archive:
        for name in source.members[part]:
            content = _content(path, archive, name)
            if not content or len(content) % length:
                raise AssayError(
                    f"{path}: {name} has {len(content)} bytes, which are no records of {length}; get it anew"
                )
            yield np.frombuffer(content, np.uint8).reshape(-1, length)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """The archive, read as it is unpacked; whatever shows that it is none, or not whole, is one line."""
    try:
        with tarfile.open(path, "r:gz") as archive:
            yield archive
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise AssayError(f"{path}: is no whole gzipped tar ({one_line(error)}); get it anew") from None


def _content(path: Path, archive: tarfile.TarFile, name: str) -> bytes:
    try:
        member = archive.extractfile(name)
    except KeyError:
        member = None
    if member is None:
        raise AssayError(f"{path}: has no file {name}; it is not the binary version of CIFAR")
    return member.read()
