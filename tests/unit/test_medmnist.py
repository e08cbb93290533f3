"""MedMNIST's .npz files: every part a role's, grey images in three channels, nothing unpickled; faults in one line."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from assay.data import medmnist
from assay.data.index import index_images
from assay.data.prepare import prepare_images
from assay.files import AssayError
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.stacks import Stack
from assay.study.images import ImagesSpec, IndexSpec
from assay.study.medmnist import MEDMNIST, SIDES, MedMnistImages
from small_sets import medmnist_arrays, noise, npz_of, sha256

SIDE = 28
CLASSES = 9
PARTS = {
    part: noise(count, CLASSES, seed, (SIDE, SIDE, 3))
    for seed, (part, count) in enumerate((("train", 45), ("val", 36), ("test", 27)))
}
COUNTS = {"test": 18, "selection": 9, "validation": 9, "train": None}
PART_OF = {"test": "test", "selection": "val", "validation": "val", "train": "train"}


class Source:
    """A file in a folder, and what the stages make of it."""

    def __init__(self, root: Path, arrays: dict, dataset: str = "pathmnist", **packing: int) -> None:
        self.root, self.dataset = root, dataset
        self.path = root / f"{dataset}.npz"
        self.path.write_bytes(npz_of(arrays, **packing))

    def images(self) -> dict:
        return {"source": "medmnist", "dataset": self.dataset, "sha256": {self.path.name: sha256(self.path)}}

    def index(self) -> dict:
        """The index's facts."""
        index_images(IndexSpec(images=self.images()), "", self.root, self.root / "index")
        return read_manifest(self.root / "index", "index")["facts"]

    def split(self, split: str, out: str = "") -> Stack:
        beside = MedMnistImages(source="medmnist", validation=9).beside(split, COUNTS)
        spec = ImagesSpec(images=self.images(), split=split, count=COUNTS[split], beside=beside, seed=0)
        out = self.root / (out or split)
        prepare_images(spec, "", Inputs({"index": self.root / "index"}), out, self.root)
        return Inputs({"images": out}).images()


def test_the_published_hashes_are_pinned_for_every_size() -> None:
    assert MEDMNIST["pathmnist"].md5 == (
        "a8b06965200029087d5bd730944a56c1",
        "55aa9c1e0525abe5a6b9d8343a507616",
        "ac42d08fb904d92c244187169d1fd1d9",
        "2c51a510bcdc9cf8ddb2af93af1eadec",
    )
    images = [MedMnistImages(source="medmnist", size=size, validation=9) for size in SIDES]
    assert [each.files for each in images] == [
        ["data/medmnist/pathmnist.npz"],
        *([f"data/medmnist/pathmnist_{size}.npz"] for size in SIDES[1:]),
    ]
    assert images[0].held == {"test": 7180, "val": 10004, "train": 89996}
    assert len({md5 for each in MEDMNIST.values() for md5 in each.md5}) == 4 * len(MEDMNIST)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_every_split_holds_the_images_that_its_ids_name(tmp_path: Path, packing: int) -> None:
    source = Source(tmp_path, medmnist_arrays(PARTS), packing=packing)
    facts = source.index()
    assert facts["classes"] == list(MEDMNIST["pathmnist"].classes)
    assert {part: found["kept"] for part, found in facts["files"].items()} == {"test": 27, "val": 36, "train": 45}
    seen: set[str] = set()
    for split, count in COUNTS.items():
        stack, (images, labels) = source.split(split), PARTS[PART_OF[split]]
        rows = [int(each.removeprefix(f"{PART_OF[split]}-")) for each in stack.ids]
        assert len(rows) == (count or 45)
        assert np.array_equal(stack.images, images[rows])
        assert stack.labels.tolist() == labels[rows].tolist()
        assert not seen & set(stack.ids)
        seen |= set(stack.ids)


def test_grey_images_have_three_equal_channels(tmp_path: Path) -> None:
    parts = {part: noise(36, 4, seed, (SIDE, SIDE)) for seed, part in enumerate(("train", "val", "test"))}
    source = Source(tmp_path, medmnist_arrays(parts), "octmnist")
    source.index()
    stack = source.split("validation")
    rows = [int(each.removeprefix("val-")) for each in stack.ids]
    assert np.array_equal(stack.images, np.stack([parts["val"][0][rows]] * 3, -1))


def test_the_bytes_do_not_depend_on_the_slices(tmp_path: Path, monkeypatch) -> None:
    source = Source(tmp_path, medmnist_arrays(PARTS))
    source.index()
    source.split("train", "a")
    monkeypatch.setattr(medmnist, "SLICE", 7)
    source.split("train", "b")
    for file in ("images.tif", "table.csv", "manifest.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


ARRAYS = medmnist_arrays(PARTS)
IMAGES, LABELS = PARTS["val"]
WHOLE = npz_of(ARRAYS)
FAULTS = {
    "no zip": (b"no zip", "is no whole .npz (File is not a zip file); get it anew"),
    "cut off": (WHOLE[:-500], "is no whole .npz ("),
    "broken": (WHOLE[:9000] + bytes(9000) + WHOLE[18000:], "is no whole .npz ("),
    "objects": (npz_of(ARRAYS | {"val_images": np.array([{}, []], object)}), "'val_images' is object (2,), expected"),
    "floats": (npz_of(ARRAYS | {"val_images": IMAGES / 255}), "'val_images' is float64 (36, 28, 28, 3), expected an"),
    "by columns": (npz_of(ARRAYS | {"val_images": np.asfortranarray(IMAGES)}), "'val_images' is uint8 (36, 28, 28, 3)"),
    "another size": (npz_of(ARRAYS | {"val_images": IMAGES[:, :9]}), "'val_images' is (36, 9, 28, 3), expected (n, 28"),
    "no labels": (npz_of({key: ARRAYS[key] for key in ARRAYS if key != "val_labels"}), "has no array 'val_labels'; it"),
    "flat labels": (npz_of(ARRAYS | {"val_labels": LABELS}), "'val_labels' is (36,), expected (n, 1): one label for"),
    "several labels": (npz_of(ARRAYS | {"val_labels": np.stack([LABELS] * 14, 1)}), "'val_labels' is (36, 14), expec"),
    "another label": (npz_of(ARRAYS | {"val_labels": LABELS[:, None] + 1}), "holds the label 9; labels are 0 to 8"),
    "too few images": (npz_of(ARRAYS | {"val_images": IMAGES[1:]}), "has 35 images in its part 'val', but 36 labels;"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_faulty_file_is_one_line_that_names_it(tmp_path: Path, case: str) -> None:
    source = Source(tmp_path, ARRAYS)
    content, message = FAULTS[case]
    source.path.write_bytes(content)
    with pytest.raises(AssayError) as caught:
        source.index()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{source.path}: {message}")
    assert not (tmp_path / "index").exists()


def test_the_file_is_verified_before_it_is_read(tmp_path: Path) -> None:
    source = Source(tmp_path, ARRAYS)
    images = source.images()
    source.images = lambda: images
    source.path.write_bytes(WHOLE + b"0")
    with pytest.raises(AssayError, match=r"pathmnist.npz: SHA-256 [0-9a-f]{64}, expected"):
        source.index()
