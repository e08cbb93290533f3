"""Tiny files in the formats of CIFAR's binary version, MedMNIST and ImageNet's validation set, with images of noise."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

Labelled = tuple[np.ndarray, np.ndarray]


def noise(count: int, classes: int, seed: int, shape: tuple[int, ...] = (32, 32, 3)) -> Labelled:
    """Images (count, *shape) uint8, no two the same, and labels (count,), the classes in turn."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)
    return images, (np.arange(count) % classes).astype(np.uint8)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tar_of(files: Mapping[str, bytes], mode: str = "w:gz") -> bytes:
    """A tar of these files by path."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


# CIFAR

CIFAR10, CIFAR100 = "cifar-10-binary.tar.gz", "cifar-100-binary.tar.gz"


def records(images: np.ndarray, *labels: np.ndarray) -> bytes:
    """The records of a file: a byte for each label, then the image's red, green and blue."""
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return np.concatenate([*(each.astype(np.uint8)[:, None] for each in labels), planes], 1).tobytes()


def cifar10_files(test: Labelled, training: Labelled) -> dict[str, bytes]:
    """The members of CIFAR-10's archive, not in their order, as in the published one."""
    parts = zip(*(np.array_split(each, 5) for each in training), strict=True)
    files = {f"cifar-10-batches-bin/data_batch_{number}.bin": records(*part) for number, part in enumerate(parts, 1)}
    files["cifar-10-batches-bin/batches.meta.txt"] = b"airplane\n"
    files["cifar-10-batches-bin/test_batch.bin"] = records(*test)
    return dict(reversed(files.items()))


def cifar100_files(test: Labelled, training: Labelled) -> dict[str, bytes]:
    """The members of CIFAR-100's archive: two labels, the coarse one first."""
    return {
        f"cifar-100-binary/{name}.bin": records(images, labels // 5, labels)
        for name, (images, labels) in {"train": training, "test": test}.items()
    }


# MedMNIST


def npz_of(arrays: Mapping[str, np.ndarray], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An .npz of these arrays."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for key, values in arrays.items():
            content = io.BytesIO()
            np.save(content, values, allow_pickle=True)
            archive.writestr(f"{key}.npy", content.getvalue())
    return buffer.getvalue()


def medmnist_arrays(parts: Mapping[str, Labelled]) -> dict[str, np.ndarray]:
    """The arrays of MedMNIST's file: images, and labels of two dimensions."""
    found = {f"{part}_images": images for part, (images, _) in parts.items()}
    return found | {f"{part}_labels": labels[:, None] for part, (_, labels) in parts.items()}


# ImageNet

WNIDS = ("n01440764", "n01443537", "n01484850")
IDS = (3, 1, 2)  # ILSVRC's own, in the order of WNIDS
TAR, KIT = "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def photographs(count: int, seed: int = 0) -> list[bytes]:
    """JPEG files of smooth noise, of several sizes, no two the same."""
    rng = np.random.default_rng(seed)
    small = [rng.integers(0, 256, (5 + number % 3, 6, 3), np.uint8) for number in range(count)]
    return [jpeg(np.kron(each, np.ones((9, 8, 1), np.uint8))) for each in small]


def imagenet_name(number: int) -> str:
    """The name of an image, counted from 1."""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def development_kit(labels: list[int]) -> bytes:
    """The development kit: synsets (classes and, after them, what they are kinds of), and each image's ILSVRC id."""
    synsets = np.zeros(len(WNIDS) + 1, [(name, object) for name in ("ILSVRC2012_ID", "WNID", "words", "num_children")])
    for place, number in enumerate(np.argsort(IDS)):
        synsets[place] = (IDS[number], WNIDS[number], f"fish {number}", 0)
    synsets[-1] = (4, "n00001740", "entity", 3)
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets[:, None]})
    truth = "".join(f"{IDS[label]}\n" for label in labels)
    folder = "ILSVRC2012_devkit_t12/data"
    return tar_of(
        {
            f"{folder}/meta.mat": meta.getvalue(),
            f"{folder}/ILSVRC2012_validation_ground_truth.txt": truth.encode(),
        }
    )


def write_imagenet(folder: Path, labels: list[int], files: list[bytes]) -> dict[str, str]:
    """Write the archive of validation images and the development kit; their SHA-256 by name."""
    folder.mkdir(parents=True, exist_ok=True)
    members = {imagenet_name(number): content for number, content in enumerate(files, 1)}
    (folder / TAR).write_bytes(tar_of(members, "w"))
    (folder / KIT).write_bytes(development_kit(labels))
    return {name: sha256(folder / name) for name in (TAR, KIT)}
