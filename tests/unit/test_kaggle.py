"""Kaggle's edition of PatchCamelyon: every role drawn from the same labelled images."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from assay.data import reading
from assay.data.index import index_images
from assay.data.prepare import prepare_images
from assay.files import AssayError
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.stacks import Stack, read_stack
from assay.study.images import ImagesSpec, IndexSpec
from fake_pcam import SIZE, patches, write_kaggle

IMAGES, LABELS = patches(120, 0)
COUNTS = {"test": 20, "selection": 8, "validation": 12}
SOURCE = {"source": "kaggle", "size": SIZE}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_kaggle(tmp_path / "kaggle", IMAGES, LABELS)
    return tmp_path


@pytest.fixture
def indexed(root: Path) -> Path:
    index(root)
    return root


def index(root: Path) -> dict:
    index_images(IndexSpec(images=SOURCE), "", root / "kaggle", root / "index")
    return read_manifest(root / "index", "index")["facts"]


def split(root: Path, name: str, count: int | None, out: str = "", **more) -> Stack:
    folder = root / (out or f"{name}-{count}-{more.get('seed', 0)}")
    spec = ImagesSpec(images=SOURCE, split=name, count=count, **{"seed": 0} | more)
    prepare_images(spec, "", Inputs({"index": root / "index"}), folder, root / "kaggle")
    return read_stack(folder)


def rows(stack: Stack) -> list[int]:
    """Where the images of a stack stand among all."""
    known = {image.tobytes(): row for row, image in enumerate(IMAGES)}
    return [known[image.tobytes()] for image in np.asarray(stack.images)]


def test_splits_are_balanced_share_no_image_and_leave_the_rest_to_train_on(indexed: Path) -> None:
    found = {name: split(indexed, name, count) for name, count in COUNTS.items()}
    found["train"] = split(indexed, "train", None, beside=COUNTS)
    taken = [row for stack in found.values() for row in rows(stack)]
    assert sorted(taken) == list(range(120))
    for name, stack in found.items():
        assert stack.labels.tolist() == LABELS[rows(stack)].tolist()
        if name != "train":
            assert np.bincount(stack.labels).tolist() == [COUNTS[name] // 2] * 2
            assert rows(stack) != list(range(COUNTS[name]))


def test_a_split_that_grows_keeps_what_it_had_and_takes_no_training_image_without_need(indexed: Path) -> None:
    test, more = (set(split(indexed, "test", count).ids) for count in (10, 24))
    train = set(split(indexed, "train", 40, beside={"test": 10}).ids)
    assert test < more
    assert not test & train
    assert train < set(split(indexed, "train", 60, beside={"test": 10}).ids)
    assert train == set(split(indexed, "train", 40, "later", beside={"test": 24}).ids)
    assert test != set(split(indexed, "test", 10, seed=1).ids)


def test_the_bytes_do_not_depend_on_threads_and_chunks(indexed: Path, monkeypatch) -> None:
    split(indexed, "train", 50, "a")
    monkeypatch.setattr(reading, "READERS", 1)
    monkeypatch.setattr(reading, "CHUNK", 7)
    split(indexed, "train", 50, "b")
    for file in ("images.tif", "table.csv", "manifest.json"):
        assert (indexed / "a" / file).read_bytes() == (indexed / "b" / file).read_bytes()


def test_duplicates_count_once(tmp_path: Path) -> None:
    images, labels = IMAGES.copy(), LABELS.copy()
    images[1], labels[1] = images[0], labels[0]
    write_kaggle(tmp_path / "kaggle", images, labels)
    assert index(tmp_path)["files"]["train"]["duplicates"] == 1
    assert len(split(tmp_path, "train", None).ids) == 119


def test_an_image_that_changed_since_the_index_was_made_is_refused(indexed: Path) -> None:
    first = split(indexed, "test", 4).ids[1]
    path = indexed / "kaggle/train" / f"{first}.tif"
    tifffile.imwrite(path, np.zeros((SIZE, SIZE, 3), np.uint8), photometric="rgb")
    fault = refusal(lambda: split(indexed, "test", 4, "again"))
    assert fault.startswith(f"{indexed / 'kaggle'}: {first} is not the image that it was when")
    assert list((indexed / "again").iterdir()) == []


def test_splits_that_leave_nothing_to_train_on_are_refused(indexed: Path) -> None:
    fault = refusal(lambda: split(indexed, "train", None, beside={"test": 120}))
    assert fault == "images.train: the other splits leave no image; lower their counts"


def test_a_missing_table_says_what_to_download(tmp_path: Path) -> None:
    (tmp_path / "kaggle").mkdir()
    assert refusal(lambda: index(tmp_path)) == (
        f"{tmp_path}/kaggle/train_labels.csv: not found; download Kaggle's histopathologic-cancer-detection and unpack "
        f"it into {tmp_path}/kaggle"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,class\na,0\n", "has no column label"),
        ("id,label\na,0\nb,2\n", "gives b the label 2; it must be 0 or 1"),
        ("id,label\na,0\na,1\n", "the id a stands there twice"),
        ("id,label\nnowhere,0\n", "nowhere.tif: not found, but train_labels.csv names it"),
    ],
)
def test_a_faulty_table_is_one_line(root: Path, text: str, message: str) -> None:
    (root / "kaggle/train_labels.csv").write_text(text)
    assert message in refusal(lambda: index(root))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((SIZE, SIZE), np.uint8), "is uint8 (16, 16), expected uint8 (16, 16, 3)"),
        (np.zeros((SIZE, SIZE, 3), np.uint16), "is uint16 (16, 16, 3), expected uint8 (16, 16, 3)"),
        (np.zeros((SIZE, 8, 3), np.uint8), "has 16 by 8 pixels; set it so"),
        (b"no TIFF", "not a readable TIFF ("),
        (b"II*\0\x08\0\0\0", "not a readable TIFF ("),
    ],
)
def test_a_faulty_image_is_one_line_that_names_it(root: Path, content, message: str) -> None:
    path = next((root / "kaggle/train").glob("*.tif"))
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        tifffile.imwrite(path, content)
    fault = refusal(lambda: index(root))
    assert str(path) in fault
    assert message in fault


def test_a_truncated_image_is_refused(root: Path) -> None:
    path = next((root / "kaggle/train").glob("*.tif"))
    path.write_bytes(path.read_bytes()[:-100])
    assert str(path) in refusal(lambda: index(root))


def refusal(act) -> str:
    with pytest.raises(AssayError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)
