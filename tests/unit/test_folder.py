"""Image files in one folder per class: read where they lie, decoded by clear rules, in roles that never overlap."""

import multiprocessing
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.data import reading
from assay.data.check import check_images
from assay.data.decode import decode
from assay.data.index import index_images
from assay.data.listed import ListedImages
from assay.data.prepare import prepare_images
from assay.files import AssayError, read_json
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.stacks import Stack, read_stack
from assay.study.images import FolderImages, FolderSource, ImagesSpec, IndexSpec, RolesSpec
from image_folder import CLASSES, as_tar, as_zip, save, write_images

SIZE = 16
SOURCE = FolderSource(source="folder", size=SIZE)
COUNTS = {"test": 6, "validation": 7}


def images(**more) -> dict:
    return {"source": "folder", "size": SIZE} | more


def index(root: Path, folder: Path, **more) -> dict:
    """The index's facts."""
    index_images(IndexSpec(images=images(**more)), "", folder, root / "index")
    return read_manifest(root / "index", "index")["facts"]


def split(root: Path, folder: Path, name: str, count: int | None, out: str = "", seed: int = 0, **more):
    beside = more.pop("beside", {})
    spec = ImagesSpec(images=images(**more), split=name, count=count, seed=seed, beside=beside)
    out = root / (out or name)
    prepare_images(spec, "", Inputs({"index": root / "index"}), out, folder)
    return Inputs({"images": out}).images()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_images(tmp_path / "data")
    return tmp_path / "data"


def test_training_reads_the_files_and_other_splits_are_stacks(tmp_path: Path, folder: Path) -> None:
    facts = index(tmp_path, folder)
    assert facts["classes"] == list(CLASSES)
    assert facts["files"]["all"]["classes"] == dict.fromkeys(CLASSES, 12)
    test = split(tmp_path, folder, "test", 6)
    assert isinstance(test, Stack)
    assert np.bincount(test.labels).tolist() == [2, 2, 2]
    train = split(tmp_path, folder, "train", None, beside=COUNTS)
    assert isinstance(train, ListedImages)
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == ["manifest.json", "table.csv"]
    assert train.classes == test.classes == list(CLASSES)
    assert len(train) == len(train.ids) == 36 - 13
    assert train.side == test.side == SIZE
    with pytest.raises(AssayError, match="is a file list, expected a stack"):
        read_stack(tmp_path / "train")


def test_rows_are_what_a_stack_of_the_same_images_holds(tmp_path: Path, folder: Path) -> None:
    index(tmp_path, folder)
    stack = split(tmp_path, folder, "test", 36)
    listed = split(tmp_path, folder, "train", 36)
    assert stack.ids == listed.ids
    assert stack.labels.tolist() == listed.labels.tolist()
    assert listed.table["pixels"].tolist() == stack.table["pixels"].tolist()
    for rows in ([5, 3, 3, 35], np.arange(36), [], range(2)):
        assert np.array_equal(listed.rows(rows), stack.rows(np.asarray(rows, int)))
        assert listed.rows(rows).dtype == np.uint8


@pytest.mark.parametrize("pack", [as_zip, lambda root: as_zip(root, zipfile.ZIP_DEFLATED), as_tar])
def test_an_archive_gives_what_its_folder_gives(tmp_path: Path, folder: Path, pack) -> None:
    index(tmp_path / "a", folder)
    index(tmp_path / "b", pack(folder))
    one = split(tmp_path / "a", folder, "train", 20)
    archive = next(path for path in tmp_path.glob("data.*"))
    other = split(tmp_path / "b", archive, "train", 20)
    assert one.table["pixels"].tolist() == other.table["pixels"].tolist()
    assert np.array_equal(one.rows(range(20)), other.rows(range(20)))
    assert [path.removeprefix("data/") for path in other.ids] == one.ids
    assert not list(tmp_path.rglob("*.scratch"))


def test_rows_can_be_read_by_many_processes_at_once(tmp_path: Path, folder: Path) -> None:
    archive = as_zip(folder)
    index(tmp_path, archive)
    train = split(tmp_path, archive, "train", 30)
    chunks = [range(start, start + 10) for start in (0, 10, 20)]
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        found = workers.map(pickle.loads(pickle.dumps(train)).rows, chunks)
    assert np.array_equal(np.concatenate(found), train.rows(range(30)))


def test_splits_share_no_image_and_a_stack_s_bytes_do_not_depend_on_threads(tmp_path, folder, monkeypatch) -> None:
    index(tmp_path, folder)
    counts = {**COUNTS, "train": None}
    configured = FolderImages(**images(), folder="data", train=None, validation=7)
    found = {
        name: split(tmp_path, folder, name, count, beside=configured.beside(name, counts))
        for name, count in counts.items()
    }
    assert len({each for one in found.values() for each in one.table["pixels"]}) == 36
    check_images(RolesSpec(), "", Inputs({name: tmp_path / name for name in found}), tmp_path / "roles")
    assert read_json(tmp_path / "roles/roles.json")["images"] == COUNTS | {"train": 23}
    monkeypatch.setattr(reading, "READERS", 1)
    monkeypatch.setattr(reading, "CHUNK", 2)
    split(tmp_path, folder, "test", 6, "again")
    for file in ("images.tif", "table.csv", "manifest.json"):
        assert (tmp_path / "test" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()


def test_an_image_to_test_on_among_those_to_train_on_is_refused_without_decoding_any(
    tmp_path, folder, monkeypatch
) -> None:
    index(tmp_path, folder)
    split(tmp_path, folder, "test", 6)
    split(tmp_path, folder, "train", None)
    monkeypatch.setattr(ListedImages, "rows", None)
    with pytest.raises(AssayError, match=r"6 of 6 test images stand in train too \(adipose/"):
        check_images(RolesSpec(), "", Inputs({name: tmp_path / name for name in ("test", "train")}), tmp_path / "roles")


def test_parts_hold_the_images_of_their_splits(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_images(folder / "train", count=8, seed=1)
    write_images(folder / "val", count=6, seed=2)
    save(folder / "train/mucus/copy.png", np.asarray(Image.open(folder / "val/mucus/000.png")))
    parts = {"train": "train", "validation": "train", "test": "val"}
    facts = index(tmp_path, folder, parts=parts)
    assert facts["files"]["train"]["elsewhere"] == 1
    test = split(tmp_path, folder, "test", 9, parts=parts)
    assert {each.split("/")[0] for each in test.ids} == {"val"}
    validation = split(tmp_path, folder, "validation", 6, parts=parts)
    train = split(tmp_path, folder, "train", None, parts=parts, beside={"validation": 6})
    assert {each.split("/")[0] for each in (*validation.ids, *train.ids)} == {"train"}
    assert len(train) == 24 - 6
    assert "train/mucus/copy.png" not in train.ids


def test_folders_around_everything_are_looked_through_and_other_files_left_alone(tmp_path, capsys) -> None:
    folder = tmp_path / "data"
    write_images(folder / "set/images", count=4)
    (folder / "set/images/mucus/.hidden.png").write_bytes(b"no image")
    (folder / "__MACOSX/set").mkdir(parents=True)
    (folder / "__MACOSX/set/000.png").write_bytes(b"no image")
    (folder / "set/images/mucus/notes.txt").write_text("text")
    (folder / "README.md").write_text("text")
    assert index(tmp_path, folder)["files"]["all"]["images"] == 12
    assert f"{folder}: 2 files are not images; they are left alone" in capsys.readouterr().err


def test_images_may_lie_deeper_in_a_class_s_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_images(tmp_path / "data" / name, ("images", "more"), count=2, seed=ord(name))
    assert index(tmp_path, tmp_path / "data")["files"]["all"]["classes"] == {"a": 4, "b": 4}


def test_the_config_s_classes_give_the_order_and_leave_others_out(tmp_path: Path, folder: Path) -> None:
    chosen = ("tumour", "adipose")
    assert index(tmp_path, folder, classes=chosen)["classes"] == list(chosen)
    test = split(tmp_path, folder, "test", 4, classes=chosen)
    assert test.classes == list(chosen)
    assert [each.split("/")[0] for each in test.ids] == [chosen[label] for label in test.labels]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_fewer_images_than_classes_and_remainders_go_to_classes_by_the_seed(tmp_path, folder, count: int) -> None:
    index(tmp_path, folder)
    drawn = [set(split(tmp_path, folder, "test", some, f"test-{some}").ids) for some in (count, count + 1)]
    assert drawn[0] < drawn[1], "a split that grows keeps what it had"
    labels = split(tmp_path, folder, "test", count, "again").labels
    assert np.ptp(np.bincount(labels, minlength=3)) <= 1
    others = {tuple(split(tmp_path, folder, "test", 1, f"seed-{seed}", seed).labels) for seed in range(8)}
    assert len(others) > 1


def file_of(tmp_path: Path, pixels: np.ndarray, name: str = "image.png", mode: str | None = None, **options) -> bytes:
    path = tmp_path / name
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path.read_bytes()


def gradient(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * y // height, 255 * x // width, 0 * x], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "resized", "left", "top"),
    [(40, 40, (16, 16), 0, 0), (40, 61, (24, 16), 4, 0), (75, 33, (16, 36), 0, 10), (9, 12, (21, 16), 2, 0)],
)
def test_the_shorter_side_is_resized_and_the_centre_kept(tmp_path, height, width, resized, left, top) -> None:
    """By the numbers of torchvision's Resize and CenterCrop."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    whole = np.asarray(Image.fromarray(pixels).resize(resized, Image.Resampling.BICUBIC))
    expected = whole[top : top + SIZE, left : left + SIZE]
    assert np.array_equal(decode(file_of(tmp_path, pixels), "image", SOURCE), expected)


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("L", "grey.png"),
        ("LA", "grey.png"),
        ("P", "palette.png"),
        ("RGBA", "alpha.webp"),
        ("CMYK", "cmyk.jpg"),
        ("CMYK", "cmyk.tif"),
        ("L", "grey.jpeg"),
        ("1", "bits.tif"),
    ],
)
def test_images_of_every_kind_become_rgb(tmp_path: Path, mode: str, name: str) -> None:
    found = decode(file_of(tmp_path, gradient(24, 24), name, mode), name, SOURCE)
    assert found.shape == (SIZE, SIZE, 3)
    assert found.dtype == np.uint8
    if mode in ("L", "LA", "1"):
        assert (found == found[..., :1]).all()


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90°
    upright = decode(file_of(tmp_path, gradient(24, 24)), "", SOURCE)
    stored = np.rot90(gradient(24, 24))
    turned = decode(file_of(tmp_path, np.ascontiguousarray(stored), "turned.png", exif=exif), "", SOURCE)
    assert np.array_equal(turned, upright)


def test_unreadable_images_are_named_all_at_once(tmp_path: Path, folder: Path) -> None:
    whole = (folder / "mucus/001.png").read_bytes()
    (folder / "mucus/000.png").write_bytes(b"no image")
    (folder / "mucus/001.png").write_bytes(whole[:-200])
    (folder / "mucus/002.png").write_bytes(b"")
    Image.fromarray(np.zeros((20, 20), np.uint16)).save(folder / "mucus/003.png")
    lines = refusal(lambda: index(tmp_path, folder)).splitlines()
    names = [f"{folder}/mucus/{number:03d}.png" for number in range(4)]
    assert [line.split(": ")[0] for line in lines] == names
    assert lines[0].startswith(f"{names[0]}: cannot be read as an image (")
    assert lines[1].startswith(f"{names[1]}: cannot be read as an image (")
    assert lines[3] == f"{names[3]}: has pixels of mode I;16; convert it to RGB with 8 bits per channel"
    assert not (tmp_path / "index/manifest.json").exists()


def test_of_very_many_unreadable_images_ten_are_named(tmp_path: Path, folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no image")
    lines = refusal(lambda: index(tmp_path, folder)).splitlines()
    assert len(lines) == 11
    assert lines[-1] == f"{folder}: 26 more like these"


def test_a_file_that_changed_since_it_was_indexed_is_refused(tmp_path: Path, folder: Path) -> None:
    index(tmp_path, folder)
    train = split(tmp_path, folder, "train", 36)
    path = folder / train.ids[3]
    content = path.read_bytes()
    save(path, np.zeros((20, 24, 3), np.uint8))
    assert refusal(lambda: train.rows([1, 3])).startswith(f"{path}: is not the file that was indexed; restore it")
    assert refusal(lambda: split(tmp_path, folder, "test", 36)).startswith(f"{folder}: {train.ids[3]} is not the image")
    path.unlink()
    assert refusal(lambda: train.rows([3])) == f"{path}: not found, but the index names it; put it back"
    path.write_bytes(content)
    assert train.rows([3]).shape == (1, SIZE, SIZE, 3)
    folder.rename(tmp_path / "elsewhere")
    fault = refusal(lambda: Inputs({"images": tmp_path / "train"}).images())
    assert fault == f"{folder}: not found; put the images that {tmp_path / 'train'} lists back there"


def test_a_truncated_archive_is_refused(tmp_path: Path, folder: Path) -> None:
    archive = as_tar(folder)
    index(tmp_path, archive)
    train = split(tmp_path, archive, "train", 36)
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    assert "is not the file that was indexed" in refusal(lambda: train.rows(range(36)))


@pytest.mark.parametrize(
    ("prepare", "more", "message"),
    [
        (lambda folder: folder.rename(folder.parent / "other"), {}, ": not found; put the data set there, or correct"),
        (lambda folder: (folder / "empty").mkdir(), {"classes": ("mucus", "empty")}, ": has no images of class empty;"),
        (
            lambda folder: None,
            {"parts": {"train": "train", "validation": "train", "test": "val"}},
            ": has no folder val",
        ),
        (lambda folder: [path.unlink() for path in folder.rglob("*.png")], {}, ": needs a folder with images for each"),
    ],
)
def test_what_is_not_there_is_one_line(tmp_path: Path, folder: Path, prepare, more: dict, message: str) -> None:
    prepare(folder)
    fault = refusal(lambda: index(tmp_path, folder, **more))
    assert fault.startswith(f"{folder}{message}")
    assert "\n" not in fault


def test_parts_that_were_taken_for_classes_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "data/train", count=2)
    write_images(tmp_path / "data/val", count=2, seed=1)
    fault = refusal(lambda: index(tmp_path, tmp_path / "data"))
    assert fault == f"{tmp_path / 'data'}: train, val are parts, not classes; name them in images.parts"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.zip", b"no zip", "is no whole zip ("),
        ("data.tar", b"no tar", "is no whole uncompressed tar ("),
        ("data.rar", b"", "is neither a folder nor a .zip or .tar; unpack it"),
    ],
)
def test_an_archive_of_another_kind_is_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert refusal(lambda: index(tmp_path, tmp_path / name)).startswith(f"{tmp_path / name}: {message}")


def test_a_compressed_tar_is_to_be_decompressed(tmp_path: Path, folder: Path) -> None:
    archive = as_tar(folder, "w:gz")
    assert "decompress it" in refusal(lambda: index(tmp_path, archive))


def refusal(act) -> str:
    with pytest.raises(AssayError) as caught:
        act()
    return str(caught.value)
