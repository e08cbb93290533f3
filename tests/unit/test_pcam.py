"""PatchCamelyon's files: roles that never overlap, frozen by the seed; faults in one line."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from assay.data import pcam
from assay.data.index import index_images
from assay.data.prepare import prepare_images
from assay.files import AssayError
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.stacks import Stack, read_stack, read_table
from assay.study.images import PCAM_FILES, PCAM_SLIDES, ImagesSpec, IndexSpec
from fake_pcam import PARTS, SIZE, hashes, hdf5, meta, name, packed, parts, patches, slides, write_pcam

COUNTS = {"test": 20, "selection": 10, "validation": 14, "train": 50}
FILE_OF = {"test": "test", "selection": "valid", "validation": "valid", "train": "train"}


class Source:
    """PCam's files in a folder, and what the stages make of them."""

    def __init__(self, root: Path, content: dict) -> None:
        self.root, self.content = root, content
        self.folder = root / "pcam"
        write_pcam(self.folder, content)

    def images(self, size: int = SIZE, with_slides: bool = True) -> dict:
        return {"source": "pcam", "size": size, "slides": with_slides, "sha256": hashes(self.folder)}

    def index(self, size: int = SIZE) -> dict:
        """The index's facts."""
        index_images(IndexSpec(images=self.images(size)), "", self.folder, self.root / "index")
        return read_manifest(self.root / "index", "index")["facts"]

    def split(self, split: str, count: int | None = -1, seed: int = 0, out: str = "") -> Stack:
        count = COUNTS[split] if count == -1 else count
        spec = ImagesSpec(images=self.images(), split=split, count=count, seed=seed)
        folder = self.root / (out or f"{split}-{count}-{seed}")
        prepare_images(spec, "", Inputs({"index": self.root / "index"}), folder, self.folder)
        return read_stack(folder)

    def write(self, file: str, content: bytes) -> None:
        (self.folder / file).write_bytes(content)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path, parts())


@pytest.fixture
def indexed(source: Source) -> Source:
    source.index()
    return source


def test_the_published_hashes_are_pinned_and_valid_and_test_are_not_swapped() -> None:
    assert list(PCAM_FILES) == [name(part, content) for part in PARTS for content in "xy"]
    assert PCAM_FILES[name("test", "x")] == (
        "79174c2201ad521602a5888be8f36ee10875f37403dd3f2086caf2182ef87245",
        800875929,
    )
    assert PCAM_FILES[name("valid", "x")][0].startswith("f82ee167")
    assert len({sha256 for sha256, _ in PCAM_FILES.values()}) == 6
    assert {file: found.checksum[:8] for file, found in PCAM_SLIDES.items()} == {
        meta("test"): "3455fd69",
        meta("valid"): "67589e00",
    }


def test_the_index_says_where_each_image_stands(source: Source) -> None:
    facts = source.index()
    table = read_table(source.root / "index/table.csv", ("id",))
    assert len(table) == 180
    for row in (0, 39, 40, 99, 100, 179):
        entry = table.iloc[row]
        images, labels = source.content[entry["file"]]
        assert entry["id"] == f"{entry['file']}-{entry['row']:06d}"
        assert entry["label"] == labels[entry["row"]]
        assert entry["pixels"] == hashlib.sha256(images[entry["row"]].tobytes()).hexdigest()[:16]
    assert facts["files"]["valid"] == {
        "images": 60,
        "classes": {"normal": 30, "tumour": 30},
        "duplicates": 0,
        "elsewhere": 0,
        "two_labels": 0,
        "kept": 60,
    }


def test_every_split_holds_the_images_that_its_ids_name_balanced_from_its_own_file(indexed: Source) -> None:
    for split, count in COUNTS.items():
        stack = indexed.split(split)
        images, labels = indexed.content[FILE_OF[split]]
        rows = [int(each.removeprefix(f"{FILE_OF[split]}-")) for each in stack.ids]
        assert len(set(rows)) == len(rows) == count
        assert np.array_equal(stack.images, images[rows])
        assert stack.labels.tolist() == labels[rows].tolist()
        assert stack.table["pixels"].tolist() == [
            hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in images[rows]
        ]
        assert split == "train" or stack.labels.sum() == count // 2
        assert rows != list(range(count))
        assert stack.classes == ["normal", "tumour"]
        counts = dict(zip(stack.classes, np.bincount(labels[rows], minlength=2).tolist(), strict=True))
        assert stack.manifest["facts"] == {"classes": stack.classes, "images": count, "counts": counts}


@pytest.mark.parametrize("split", COUNTS)
def test_images_to_test_and_to_choose_on_know_their_slides(indexed: Source, split: str) -> None:
    table = indexed.split(split).table
    if split == "train":
        assert "slide" not in table
    else:
        known = slides(FILE_OF[split], 60)
        assert table["slide"].tolist() == [known[int(each[-6:])] for each in table["id"]]


def test_slides_may_be_left_out(source: Source) -> None:
    for file in PCAM_SLIDES:
        (source.folder / file).unlink()
    source.images = lambda: Source.images(source, with_slides=False)
    index_images(IndexSpec(images=source.images()), "", source.folder, source.root / "index")
    assert "slide" not in source.split("test").table


def test_no_image_plays_two_roles_even_where_two_share_a_file_to_its_last_image(indexed: Source) -> None:
    validation, selection = indexed.split("validation", 34), indexed.split("selection", 26)
    assert not set(validation.ids) & set(selection.ids)
    assert len({*validation.ids, *selection.ids}) == 60


def test_a_split_that_grows_keeps_what_it_had_and_another_seed_draws_others(indexed: Source) -> None:
    for split, more in (("test", 30), ("selection", 22), ("validation", 30), ("train", 70)):
        before = set(indexed.split(split).ids)
        assert before < set(indexed.split(split, more).ids)
        assert before != set(indexed.split(split, seed=1).ids)


def test_an_odd_count_is_balanced_to_one(indexed: Source) -> None:
    assert sorted(np.bincount(indexed.split("test", 21).labels)) == [10, 11]


def test_all_of_the_train_file_is_trained_on_where_no_count_says_otherwise(indexed: Source) -> None:
    assert indexed.split("train", None).ids == [f"train-{row:06d}" for row in range(80)]


def test_what_stands_in_the_test_or_valid_file_is_never_trained_on_and_copies_count_once(tmp_path: Path) -> None:
    content = parts()
    (test, test_labels), (valid, valid_labels), (train, train_labels) = (content[part] for part in PARTS)
    train[3], train_labels[3] = test[7], test_labels[7]
    train[4], train_labels[4] = valid[8], valid_labels[8]
    valid[9], valid_labels[9] = test[7], test_labels[7]
    train[10:13], train_labels[10:13] = train[13], train_labels[13]
    test[20], test_labels[20] = test[21], test_labels[21]
    source = Source(tmp_path, content)
    facts = source.index()
    assert facts["in_two_files"] == {"test and valid": 1, "test and train": 1, "valid and train": 2}
    assert {part: found["elsewhere"] for part, found in facts["files"].items()} == {"test": 0, "valid": 1, "train": 2}
    assert {part: found["duplicates"] for part, found in facts["files"].items()} == {"test": 1, "valid": 0, "train": 3}
    assert {part: found["kept"] for part, found in facts["files"].items()} == {"test": 39, "valid": 59, "train": 75}
    ids = source.split("train", None).ids
    assert sorted(set(range(80)) - {int(each[-6:]) for each in ids}) == [3, 4, 11, 12, 13]
    assert "valid-000009" not in source.split("validation", 58).ids


def test_an_image_with_both_labels_is_left_out(tmp_path: Path) -> None:
    content = parts()
    images, labels = content["train"]
    images[5], labels[5], labels[6] = images[6], 0, 1
    source = Source(tmp_path, content)
    assert source.index()["files"]["train"]["two_labels"] == 2
    assert not {"train-000005", "train-000006"} & set(source.split("train", None).ids)


def test_the_bytes_depend_neither_on_the_slices_nor_on_the_run(indexed: Source, monkeypatch) -> None:
    indexed.split("train", out="a")
    monkeypatch.setattr(pcam, "SLICE", 7)
    indexed.split("train", out="b")
    for file in ("images.tif", "table.csv", "manifest.json"):
        assert (indexed.root / "a" / file).read_bytes() == (indexed.root / "b" / file).read_bytes()
    before = (indexed.root / "index/manifest.json").read_bytes()
    indexed.index()
    assert (indexed.root / "index/manifest.json").read_bytes() == before


def test_nothing_is_left_of_what_was_unpacked(indexed: Source) -> None:
    indexed.split("test", out="test")
    assert sorted(path.name for path in indexed.root.iterdir()) == ["index", "pcam", "test"]
    assert not list(indexed.root.rglob("*.h5"))


def test_what_a_killed_run_unpacked_is_removed(indexed: Source) -> None:
    left = indexed.root / ".test.scratch" / "old.h5"
    left.parent.mkdir()
    left.write_text("left")
    indexed.split("test", out="test")
    assert not left.parent.exists()


X, Y = name("valid", "x"), name("valid", "y")
IMAGES, LABELS = patches(60, 1)
FAULTS = {
    "no gzip": (X, b"no gzip", "is no whole gzip file (Not a gzipped file"),
    "truncated gzip": (X, packed(hdf5(x=IMAGES))[:-300], "is no whole gzip file ("),
    "broken gzip": (X, packed(hdf5(x=IMAGES))[:500] + bytes(9000), "is no whole gzip file ("),
    "no HDF5": (X, packed(b"no HDF5"), "holds no whole HDF5 file ("),
    "truncated HDF5": (X, packed(hdf5(x=IMAGES)[:-3000]), "holds no whole HDF5 file ("),
    "other key": (X, packed(hdf5(images=IMAGES)), "has no data set 'x'; it is none of PCam's files"),
    "floats": (X, packed(hdf5(x=IMAGES / 255)), "'x' is float64 (60, 16, 16, 3), expected uint8 (n, 16, 16, 3)"),
    "no colours": (X, packed(hdf5(x=IMAGES[..., :1])), "'x' is uint8 (60, 16, 16, 1), expected uint8 (n, 16, 16, 3)"),
    "too few images": (X, packed(hdf5(x=IMAGES[1:])), "has 59 images, but there are 60 labels"),
    "flat labels": (Y, packed(hdf5(y=LABELS)), "'y' is uint8 (60,), expected uint8 (n, 1, 1, 1)"),
    "other labels": (
        Y,
        packed(hdf5(y=(LABELS * 2).reshape(-1, 1, 1, 1))),
        "holds the label 2; labels must be 0 or 1",
    ),
    "no table": (meta("valid"), b"", "is no CSV table ("),
    "no slides": (meta("valid"), b"x,y\n1,2\n", "needs a column 'wsi' with the slide of each image"),
    "an image without": (meta("valid"), b"x,wsi\n" + 59 * b"1,a\n" + b"1,\n", "needs a column 'wsi' with the slide"),
    "too few slides": (meta("valid"), b"wsi\n" + 59 * b"a\n", "has 59 lines, but there are 60 images"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_faulty_file_is_one_line_that_names_it(source: Source, case: str) -> None:
    file, content, message = FAULTS[case]
    source.write(file, content)
    fault = refusal(source.index)
    assert fault.startswith(f"{source.folder / file}: {message}")
    assert not (source.root / "index").exists()


def test_images_of_another_size_are_one_line_that_names_the_key(source: Source) -> None:
    assert refusal(lambda: source.index(size=32)) == (
        f"images.size: is 32, but {source.folder / name('test', 'x')} has images of 16 by 16 pixels; set it so"
    )


def test_a_file_is_verified_before_it_is_read(indexed: Source) -> None:
    path = indexed.folder / name("test", "x")
    expected = hashes(indexed.folder)[path.name]
    images = indexed.images()
    indexed.images = lambda: images
    path.write_bytes(path.read_bytes() + b"0")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    fault = refusal(lambda: indexed.split("test", 4, out="test"))
    assert fault.startswith(f"{path}: SHA-256 {found}, expected {expected}; delete it and run again")
    assert list((indexed.root / "test").iterdir()) == []


def test_a_file_that_is_not_there_is_named(source: Source) -> None:
    spec = IndexSpec(images=source.images())
    (source.folder / name("train", "y")).unlink()
    fault = refusal(lambda: index_images(spec, "", source.folder, source.root / "index"))
    assert fault == f"{source.folder / name('train', 'y')}: not found; let the workflow fetch it, or put it there"


@pytest.mark.parametrize(
    ("split", "count", "message"),
    [
        (
            "test",
            42,
            "evaluation.images: needs 21 different images of class normal, but there are 20 to draw from; lower it",
        ),
        ("train", 81, "images.train: needs 81 different images, but there are 80 to draw from; lower it"),
    ],
)
def test_too_few_images_are_one_line_that_names_the_key(indexed: Source, split: str, count: int, message: str) -> None:
    assert refusal(lambda: indexed.split(split, count)) == message


def test_an_index_of_other_files_is_refused(indexed: Source) -> None:
    indexed.write(name("train", "x"), packed(hdf5(x=patches(80, 9)[0])))
    assert refusal(lambda: indexed.split("test")) == (
        f"{indexed.root / 'index'}: is an index of other images; delete it and run again"
    )


def refusal(act) -> str:
    with pytest.raises(AssayError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)
