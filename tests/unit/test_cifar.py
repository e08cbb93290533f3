"""CIFAR-10's and CIFAR-100's binary archives: what they hold, in roles that never overlap; faults in one line."""

from pathlib import Path

import numpy as np
import pytest

from assay.data.index import index_images
from assay.data.prepare import prepare_images
from assay.files import AssayError
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.stacks import Stack
from assay.study.cifar import CIFAR10_CLASSES, CIFAR100_CLASSES, CIFAR_FILES
from assay.study.images import Cifar10Images, ImagesSpec, IndexSpec
from small_sets import CIFAR10, CIFAR100, cifar10_files, cifar100_files, noise, records, sha256, tar_of

TEST, TRAINING = noise(40, 10, 0), noise(100, 10, 1)
COUNTS = {"test": 20, "selection": 10, "validation": 20, "train": None}


class Source:
    """An archive in a folder, and what the stages make of it."""

    def __init__(self, root: Path, name: str, archive: str, content: bytes) -> None:
        self.root, self.name, self.archive = root, name, archive
        self.folder = root / name
        self.folder.mkdir()
        self.path = self.folder / archive
        self.path.write_bytes(content)

    def images(self) -> dict:
        return {"source": self.name, "sha256": {self.archive: sha256(self.path)}}

    def index(self) -> dict:
        """The index's facts."""
        index_images(IndexSpec(images=self.images()), "", self.folder, self.root / "index")
        return read_manifest(self.root / "index", "index")["facts"]

    def split(self, split: str) -> Stack:
        configured = Cifar10Images(source="cifar10", validation=20)
        beside = configured.beside(split, COUNTS)
        spec = ImagesSpec(images=self.images(), split=split, count=COUNTS[split], beside=beside, seed=0)
        prepare_images(spec, "", Inputs({"index": self.root / "index"}), self.root / split, self.folder)
        return Inputs({"images": self.root / split}).images()


@pytest.fixture
def cifar10(tmp_path: Path) -> Source:
    return Source(tmp_path, "cifar10", CIFAR10, tar_of(cifar10_files(TEST, TRAINING)))


def test_the_published_hashes_are_pinned() -> None:
    assert CIFAR_FILES == {
        CIFAR10: ("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170_052_171),
        CIFAR100: ("58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec", 168_513_733),
    }


def test_every_split_holds_the_images_that_its_ids_name_in_colour_and_upright(cifar10: Source) -> None:
    facts = cifar10.index()
    assert facts["classes"] == list(CIFAR10_CLASSES)
    assert {part: found["images"] for part, found in facts["files"].items()} == {"test": 40, "train": 100}
    seen: set[str] = set()
    for split, count in COUNTS.items():
        stack = cifar10.split(split)
        part, (images, labels) = ("test", TEST) if split == "test" else ("train", TRAINING)
        rows = [int(each.removeprefix(f"{part}-")) for each in stack.ids]
        assert len(rows) == (count or 70)
        assert np.array_equal(stack.images, images[rows])
        assert stack.labels.tolist() == labels[rows].tolist()
        assert split == "train" or len(set(np.bincount(stack.labels, minlength=10))) == 1
        assert not seen & set(stack.ids)
        seen |= set(stack.ids)


def test_of_cifar100_s_two_labels_the_fine_one_counts(tmp_path: Path) -> None:
    test, training = noise(100, 100, 2), noise(200, 100, 3)
    source = Source(tmp_path, "cifar100", CIFAR100, tar_of(cifar100_files(test, training)))
    facts = source.index()
    assert facts["classes"] == list(CIFAR100_CLASSES)
    assert len(set(CIFAR100_CLASSES)) == 100
    assert facts["files"]["train"]["classes"] == dict.fromkeys(CIFAR100_CLASSES, 2)
    stack = source.split("test")
    rows = [int(each.removeprefix("test-")) for each in stack.ids]
    assert np.array_equal(stack.images, test[0][rows])
    assert stack.labels.tolist() == test[1][rows].tolist()


def test_an_image_of_the_test_file_is_not_trained_on(tmp_path: Path) -> None:
    images, labels = (each.copy() for each in TRAINING)
    images[7], labels[7] = TEST[0][3], TEST[1][3]
    source = Source(tmp_path, "cifar10", CIFAR10, tar_of(cifar10_files(TEST, (images, labels))))
    assert source.index()["in_two_files"] == {"test and train": 1}
    trained = {each for split in ("train", "validation", "selection") for each in source.split(split).ids}
    assert "train-000007" not in trained


GOOD = cifar10_files(TEST, TRAINING)
TEST_FILE = "cifar-10-batches-bin/test_batch.bin"
FAULTS = {
    "no archive": (b"no archive", "is no whole gzipped tar ("),
    "cut off": (tar_of(GOOD)[:-2000], "is no whole gzipped tar ("),
    "the pickled version": (
        tar_of({"cifar-10-batches-py/test_batch": b"\x80"}),
        f"has no file {TEST_FILE}; it is not the binary version of CIFAR",
    ),
    "half a record": (tar_of(GOOD | {TEST_FILE: GOOD[TEST_FILE][:-5]}), f"{TEST_FILE} has 122915 bytes, which are no"),
    "an empty file": (tar_of(GOOD | {TEST_FILE: b""}), f"{TEST_FILE} has 0 bytes, which are no records of 3073; get"),
    "another label": (
        tar_of(GOOD | {TEST_FILE: records(TEST[0], TEST[1] + 3)}),
        "holds the label 10; labels are 0 to 9",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_faulty_archive_is_one_line_that_names_it(cifar10: Source, case: str) -> None:
    content, message = FAULTS[case]
    cifar10.path.write_bytes(content)
    assert refusal(cifar10.index).startswith(f"{cifar10.path}: {message}")
    assert not (cifar10.root / "index").exists()


def test_the_archive_is_verified_before_it_is_read(cifar10: Source) -> None:
    cifar10.index()
    images, expected = cifar10.images(), sha256(cifar10.path)
    cifar10.images = lambda: images
    cifar10.path.write_bytes(cifar10.path.read_bytes() + b"0")
    assert refusal(lambda: cifar10.split("test")).startswith(
        f"{cifar10.path}: SHA-256 {sha256(cifar10.path)}, expected {expected}; delete it and run again"
    )
    cifar10.path.unlink()
    assert refusal(lambda: cifar10.split("test")).startswith(f"{cifar10.path}: not found; let the workflow fetch it")


def refusal(act) -> str:
    with pytest.raises(AssayError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)
