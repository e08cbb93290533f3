"""Files are whole or absent, and what is on disk is what its manifest says."""

import errno
import hashlib
import os
import platform
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from assay import files, manifests, verified
from assay.artifacts import Draft, Wanted
from assay.files import AssayError
from assay.stacks import pixel_hashes, read_stack, write_images
from stack_files import write_stack

PROVENANCE = {"versions": {"python": "3"}, "device": "cpu"}


def make(folder: Path, text: str = "hello", spec: dict | None = None) -> dict:
    with Wanted(folder, "thing", spec or {"a": 1}, "code", {}).write(PROVENANCE) as draft:
        draft.path("one.txt").write_text(text)
        draft.path("sub/two.txt").write_text("two")
    return manifests.read_manifest(folder, "thing")


def test_an_artifact_names_its_spec_code_and_files(tmp_path: Path) -> None:
    manifest = make(tmp_path / "a")
    assert manifest["spec"] == {"a": 1}
    assert manifest["code"] == "code"
    assert manifest["files"]["one.txt"] == {"sha256": files.sha256(tmp_path / "a/one.txt"), "bytes": 5}
    assert manifests.faults(tmp_path / "a") == []


def test_an_artifact_made_again_has_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b")
    assert (tmp_path / "a/manifest.json").read_bytes() == (tmp_path / "b/manifest.json").read_bytes()


def test_a_failed_artifact_leaves_nothing_and_an_old_one_as_it_was(tmp_path: Path) -> None:
    def fail() -> None:
        with Wanted(tmp_path / "a", "thing", {}, "", {}).write(PROVENANCE) as draft:
            draft.path("one.txt").write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert list((tmp_path / "a").iterdir()) == []
    make(tmp_path / "a")
    with pytest.raises(OSError, match="No space"):
        fail()
    assert manifests.faults(tmp_path / "a") == []


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def fail() -> None:
        with files.atomic(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fail()
    assert list(tmp_path.iterdir()) == []
    files.write_text(path, "whole")
    assert path.read_text() == "whole"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "one.txt: missing"),
        (lambda path: path.write_text("hel"), r"one.txt: 3 bytes, its manifest says 5 \(truncated\?\)"),
        (lambda path: path.write_text("hallo"), r"one.txt: SHA-256 .*its manifest says .*\(corrupt\)"),
    ],
)
def test_damage_is_named_with_what_to_do(tmp_path: Path, damage, message: str) -> None:
    make(tmp_path / "a")
    damage(tmp_path / "a/one.txt")
    with pytest.raises(AssayError, match=f"{message}.*run again"):
        manifests.check(tmp_path / "a", "thing")


@pytest.fixture
def noted(tmp_path: Path, monkeypatch) -> Path:
    """The folder where it is noted which files were found whole, small files too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(verified, "LARGE", 0)
    return tmp_path / "cache/assay/verified" / platform.node()


@pytest.fixture
def hashed(monkeypatch) -> list[str]:
    """The names of the files that were read whole."""
    names, sha256 = [], manifests.sha256

    def counted(path: Path) -> str:
        names.append(path.name)
        return sha256(path)

    monkeypatch.setattr(manifests, "sha256", counted)
    return names


def aged(folder: Path) -> None:
    """Have an artifact's files be a minute older."""
    for path in folder.rglob("*.txt"):
        os.utime(path, ns=(path.stat().st_mtime_ns - 60 * 10**9,) * 2)


def test_a_large_file_is_read_whole_once_per_machine(tmp_path: Path, noted: Path, hashed: list[str]) -> None:
    manifest = make(tmp_path / "a")
    aged(tmp_path / "a")
    hashed.clear()
    assert manifests.check(tmp_path / "a", "thing") == manifest
    assert hashed == ["one.txt", "two.txt"]
    manifests.check(tmp_path / "a", "thing")
    assert hashed == ["one.txt", "two.txt"]
    assert len(list(noted.iterdir())) == 2
    assert manifests.faults(tmp_path / "a") == []
    assert hashed == ["one.txt", "two.txt"] * 2, "verify reads everything, always"


def test_small_files_are_read_whole_each_time(tmp_path, noted, hashed, monkeypatch) -> None:
    make(tmp_path / "a")
    aged(tmp_path / "a")
    monkeypatch.setattr(verified, "LARGE", 4)
    hashed.clear()
    manifests.check(tmp_path / "a", "thing")
    manifests.check(tmp_path / "a", "thing")
    assert hashed == ["one.txt", "two.txt", "two.txt"]


def test_files_that_just_changed_are_read_whole_each_time(tmp_path, noted, hashed, monkeypatch) -> None:
    make(tmp_path / "a")
    monkeypatch.setattr(verified, "SETTLED", 3600 * 10**9)
    hashed.clear()
    manifests.check(tmp_path / "a", "thing")
    manifests.check(tmp_path / "a", "thing")
    assert hashed == ["one.txt", "two.txt"] * 2


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.utime(path, ns=(path.stat().st_mtime_ns + 1,) * 2),
        lambda path: (path.write_text("hallo!"), aged(path.parent)),
        lambda path: (shutil.copy2(path, f"{path}.new"), os.replace(f"{path}.new", path)),
    ],
    ids=["time", "size", "inode"],
)
def test_a_file_of_another_size_time_or_inode_is_not_taken_as_known(tmp_path, noted, hashed, change) -> None:
    make(tmp_path / "a")
    aged(tmp_path / "a")
    manifests.check(tmp_path / "a", "thing")
    known = manifests.read_manifest(tmp_path / "a")["files"]["one.txt"]["sha256"]
    assert verified.is_remembered(verified.look(tmp_path / "a/one.txt"), known)
    change(tmp_path / "a/one.txt")
    assert not verified.is_remembered(verified.look(tmp_path / "a/one.txt"), known)


def test_damage_that_keeps_size_time_and_inode_is_found_by_verify_alone(tmp_path: Path, noted: Path) -> None:
    make(tmp_path / "a")
    aged(tmp_path / "a")
    manifests.check(tmp_path / "a", "thing")
    path = tmp_path / "a/one.txt"
    before = path.stat()
    path.write_text("hallo")
    with pytest.raises(AssayError, match="corrupt"):
        manifests.check(tmp_path / "a", "thing")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    manifests.check(tmp_path / "a", "thing")
    assert len(manifests.faults(tmp_path / "a")) == 1


def test_an_artifact_made_anew_is_read_whole(tmp_path: Path, noted: Path, hashed: list[str]) -> None:
    make(tmp_path / "a")
    aged(tmp_path / "a")
    manifests.check(tmp_path / "a", "thing")
    make(tmp_path / "a", "hallo")
    aged(tmp_path / "a")
    hashed.clear()
    manifests.check(tmp_path / "a", "thing")
    assert "one.txt" in hashed


@pytest.mark.parametrize("state", ["a file", "not writable", "no home", "broken notes"])
def test_notes_that_cannot_be_kept_stop_nothing(tmp_path: Path, noted: Path, hashed, monkeypatch, state: str) -> None:
    make(tmp_path / "a")
    aged(tmp_path / "a")
    if state == "a file":
        (tmp_path / "cache").write_text("")
    elif state == "not writable":
        monkeypatch.setattr(verified.tempfile, "mkstemp", unwritable)
    elif state == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(verified.Path, "home", homeless)
    else:
        manifests.check(tmp_path / "a", "thing")
        for note in noted.iterdir():
            note.write_text("{")
    hashed.clear()
    manifests.check(tmp_path / "a", "thing")
    assert hashed == ["one.txt", "two.txt"]


def unwritable(**options: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize(
    ("name", "content"), [("images.tif", b"no TIFF at all"), ("model.safetensors", bytes(16)), ("table.csv", b"")]
)
def test_a_file_without_its_header_is_refused_when_it_is_opened(tmp_path, noted, name: str, content: bytes) -> None:
    with Wanted(tmp_path / "a", "thing", {}, "", {}).write(PROVENANCE) as draft:
        draft.path(name).write_bytes(content)
    with pytest.raises(AssayError, match=rf"{name}: no {Path(name).suffix} header \(corrupt\); delete"):
        manifests.check(tmp_path / "a", "thing")


def test_manifests_of_another_kind_or_none_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "a")
    with pytest.raises(AssayError, match="is a thing, expected a stack"):
        manifests.read_manifest(tmp_path / "a", "stack")
    with pytest.raises(AssayError, match="not found"):
        manifests.read_manifest(tmp_path / "b")
    (tmp_path / "a/manifest.json").write_text("{")
    with pytest.raises(AssayError, match="not valid JSON"):
        manifests.read_manifest(tmp_path / "a")


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert files.canonical_json({"b": 1, "a": [1, 2]}) == files.canonical_json({"a": [1, 2], "b": 1})
    assert files.digest({"a": 1}) != files.digest({"a": 2})


def write_numbered_stack(folder: Path, count: int = 3, bits: int = 8) -> np.ndarray:
    kind = {8: np.uint8, 16: np.uint16}[bits]
    images = np.arange(count * 4 * 5 * 3, dtype=kind).reshape(count, 4, 5, 3)
    table = pd.DataFrame({"id": [f"none{k}" for k in range(count)], "label": np.arange(count) % 2})
    with Wanted(folder, "stack", {}, "", {}).write(PROVENANCE) as draft:
        write_stack(draft, images, table)
    return images


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("count", [1, 3])
def test_a_stack_reads_back_as_written(tmp_path: Path, count: int, bits: int) -> None:
    images = write_numbered_stack(tmp_path, count, bits)
    stack = read_stack(tmp_path)
    assert np.array_equal(stack.images, images)
    assert stack.images.dtype == images.dtype
    assert stack.ids == [f"none{k}" for k in range(count)]
    assert stack.pixels().shape == (count, 3, 4, 5)
    assert stack.pixels(0, 1)[0, 2, 3, 4] == np.float32(images[0, 3, 4, 2]) / np.float32(2**bits - 1)


def test_a_stack_holds_no_date_so_that_it_is_the_same_when_made_again(tmp_path: Path) -> None:
    write_numbered_stack(tmp_path / "a")
    write_numbered_stack(tmp_path / "b")
    assert (tmp_path / "a/images.tif").read_bytes() == (tmp_path / "b/images.tif").read_bytes()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_stack_written_in_chunks_has_the_bytes_of_one_written_whole(tmp_path: Path, kind: type) -> None:
    images = np.random.default_rng(0).integers(0, 255, (7, 4, 5, 3)).astype(kind)
    write_images(Draft(tmp_path), (images[start : start + 3] for start in range(0, 7, 3)), 7)
    tifffile.imwrite(tmp_path / "whole.tif", images, photometric="rgb", metadata={"axes": "QYXS"})
    assert (tmp_path / "images.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_one_chunk_at_a_time_is_held(tmp_path: Path) -> None:
    chunks = 64
    made = 0

    def noted():
        nonlocal made
        for index in range(chunks):
            yield np.full((16, 32, 32, 3), index, np.uint8)
            made += 1
            if index:
                assert (tmp_path / "images.tif").stat().st_size > (index - 2) * 16 * 32 * 32 * 3

    write_images(Draft(tmp_path), noted(), chunks * 16)
    assert made == chunks


def test_chunks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    chunk = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match="2 images but 3 table rows"):
        write_images(Draft(tmp_path), [chunk], 3)
    with pytest.raises(ValueError, match="4 images but 3 table rows"):
        write_images(Draft(tmp_path), [chunk, chunk], 3)
    with pytest.raises(ValueError, match="like the first, found uint16"):
        write_images(Draft(tmp_path), [chunk, chunk.astype(np.uint16)], 4)


def test_images_share_a_hash_if_they_share_every_byte() -> None:
    images = np.zeros((3, 4, 4, 3), np.uint8)
    images[1, 3, 3, 2] = 1
    first, second, third = pixel_hashes(images)
    assert first == third == hashlib.sha256(bytes(48)).hexdigest()[:16]
    assert second == hashlib.sha256(bytes(47) + b"\1").hexdigest()[:16]
    assert pixel_hashes(images.transpose(0, 2, 1, 3))[0] == first


def test_stacks_of_wrong_shape_or_table_are_refused_when_written(tmp_path: Path) -> None:
    draft, table = Draft(tmp_path), pd.DataFrame({"id": ["a"], "label": [0]})
    with pytest.raises(ValueError, match="uint8 or uint16"):
        write_stack(draft, np.zeros((1, 4, 4, 3), np.float32), table)
    with pytest.raises(ValueError, match="2 images but 1 table rows"):
        write_stack(draft, np.zeros((2, 4, 4, 3), np.uint8), table)


def test_a_table_without_labels_is_refused(tmp_path: Path) -> None:
    write_numbered_stack(tmp_path)
    images, table = ((tmp_path / name).read_bytes() for name in ("images.tif", "table.csv"))
    with Wanted(tmp_path, "stack", {}, "", {}).write(PROVENANCE) as draft:
        draft.path("images.tif").write_bytes(images)
        draft.path("table.csv").write_bytes(table.replace(b"label", b"lable"))
    with pytest.raises(AssayError, match=r"table.csv: has no column label"):
        read_stack(tmp_path)
