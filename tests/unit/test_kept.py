"""Kept work: whatever happens to it on disk, the end has the bytes of an uninterrupted run."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import trainings
from assay import kept
from assay.resume import Resume
from assay.training.checkpoints import Checkpoints
from trainings import STEPS, Saves, Stopped, contents, save_always

DAMAGED = "damaged, computed anew"


def flip(path: Path, bit: int) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


def swap(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def some_bits(path: Path, count: int) -> list[int]:
    """Bits of a file, all over it and always the same; its last ones are among them."""
    size = 8 * path.stat().st_size
    return [0, size - 1, *random.Random(0).sample(range(size), count)]


def test_every_bit_of_a_kept_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.bin"
    kept.write(path, lambda file: file.write(b"content"))
    assert kept.read(path, Path.read_bytes, "")[:7] == b"content"
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        flip(path, bit)
        assert kept.read(path, Path.read_bytes, "") is None
        path.write_bytes(whole)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert kept.read(path, Path.read_bytes, "") is None
    path.write_bytes(whole + b"\n")
    assert kept.read(path, Path.read_bytes, "") is None


def test_a_kept_file_counts_at_its_own_place_only(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.bin"
    kept.write(path, lambda file: file.write(b"content"))
    for other in (tmp_path / "folder/b.bin", tmp_path / "other/a.bin"):
        other.parent.mkdir(exist_ok=True)
        shutil.copy(path, other)
        assert kept.read(other, Path.read_bytes, "") is None
    moved = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-moved")) / "folder/a.bin"
    assert kept.read(moved, Path.read_bytes, "") is not None, "a study may be moved"


def test_absent_files_are_no_news_and_damaged_ones_one_line(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    path = tmp_path / "a.bin"
    assert kept.read(path, Path.read_bytes, "retried") is None
    assert capfd.readouterr().err == ""
    path.touch()
    assert kept.read(path, Path.read_bytes, "retried") is None
    assert capfd.readouterr().err == f"{path}: damaged, retried\n"


def test_a_whole_file_that_cannot_be_loaded_is_one_line_too(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    path = tmp_path / "checkpoint.pt"
    kept.write(path, lambda file: file.write(b"no checkpoint"))
    assert Checkpoints(path).load() is None
    assert capfd.readouterr().err == f"{path}: unreadable (UnpicklingError), training begins anew\n"


def test_nothing_is_unpickled_from_a_checkpoint(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "harm",))

    checkpoints = Checkpoints(tmp_path / "checkpoint.pt")
    checkpoints.save({"step": Harmful()})
    assert checkpoints.load() is None
    assert not (tmp_path / "harm").exists()


# batches


def results(folder: Path) -> tuple[list[np.ndarray], list[int]]:
    """The images of four batches, and which of them had to be computed."""
    computed = []

    def compute(index: int) -> dict[str, np.ndarray]:
        computed.append(index)
        return {"images": np.random.default_rng(index).integers(0, 255, (4, 8, 8, 3), np.uint8)}

    found = [result["images"] for result in Resume(folder / "out", "key").batches(range(4), compute, "work")]
    return found, computed


def batch(folder: Path, index: int) -> Path:
    return folder / f".out.resume-key/batch-{index:06d}.npz"


def test_whole_batches_are_read_back(tmp_path: Path) -> None:
    first, computed = results(tmp_path)
    again, computed_again = results(tmp_path)
    assert np.array_equal(first, again)
    assert (computed, computed_again) == ([0, 1, 2, 3], [])


def test_a_flipped_bit_of_a_batch_costs_that_batch(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    first, _ = results(tmp_path)
    for bit in some_bits(batch(tmp_path, 2), 100):
        flip(batch(tmp_path, 2), bit)
        capfd.readouterr()
        again, computed = results(tmp_path)
        assert np.array_equal(first, again)
        assert computed == [2]
        assert capfd.readouterr().err.count(f"{batch(tmp_path, 2)}: {DAMAGED}\n") == 1


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (lambda folder: cut(batch(folder, 1), 700), [1]),
        (lambda folder: cut(batch(folder, 1), 0), [1]),
        (lambda folder: swap(batch(folder, 0), batch(folder, 3)), [0, 3]),
        (lambda folder: batch(folder, 1).replace(batch(folder, 2)), [1, 2]),
        (lambda folder: batch(folder, 3).write_bytes(b"torn"), [3]),
    ],
)
def test_damaged_and_swapped_batches_are_computed_anew(
    tmp_path: Path, damage: Callable[[Path], None], lost: list[int], capfd: pytest.CaptureFixture
) -> None:
    first, _ = results(tmp_path)
    damage(tmp_path)
    again, computed = results(tmp_path)
    assert np.array_equal(first, again)
    assert computed == lost
    assert f"{batch(tmp_path, lost[-1])}: {DAMAGED}\n" in capfd.readouterr().err
    assert results(tmp_path)[1] == []


# checkpoints


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trainings.prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def saves(monkeypatch: pytest.MonkeyPatch) -> Saves:
    return save_always(monkeypatch)


def stopped(kind: str, prepared: Path, out: Path, saves: Saves, step: int) -> Path:
    """A training that was stopped after a step; its checkpoint."""
    saves.clear()
    saves.stop_after = step
    with pytest.raises(Stopped):
        trainings.train(kind, prepared, out)
    saves.clear()
    saves.stop_after = None
    (checkpoint,) = out.parent.glob(f".{out.name}.resume-*/*")
    return checkpoint


@pytest.mark.parametrize("kind", ["classifier", "diffusion"])
def test_no_flipped_bit_of_a_checkpoint_is_read(kind: str, prepared: Path, tmp_path: Path, saves: Saves) -> None:
    checkpoint = stopped(kind, prepared, tmp_path / "out", saves, 3)
    whole = checkpoint.read_bytes()
    assert Checkpoints(checkpoint).load()["step"] == 3
    for bit in some_bits(checkpoint, 200):
        flip(checkpoint, bit)
        assert Checkpoints(checkpoint).load() is None
        checkpoint.write_bytes(whole)


@pytest.mark.parametrize("kind", ["classifier", "diffusion"])
def test_whatever_happens_to_a_checkpoint_the_end_is_the_same(
    kind: str, prepared: Path, tmp_path: Path, saves: Saves, capfd: pytest.CaptureFixture
) -> None:
    whole = contents(trainings.train(kind, prepared, tmp_path / "whole"))
    size = stopped(kind, prepared, tmp_path / "size", saves, 3).stat().st_size
    bits = [random.Random(1).randrange(8 * size) for _ in range(4)]
    damages = [lambda path, bit=bit: flip(path, bit) for bit in bits]
    damages += [lambda path, length=length: cut(path, length) for length in (0, 1000, size - 1)]
    for number, damage in enumerate(damages):
        checkpoint = stopped(kind, prepared, tmp_path / f"{number}", saves, 3)
        damage(checkpoint)
        capfd.readouterr()
        assert contents(trainings.train(kind, prepared, tmp_path / f"{number}")) == whole
        assert saves == list(range(1, STEPS + 1))
        assert capfd.readouterr().err.count(f"{checkpoint}: damaged, training begins anew\n") == 1


def test_an_older_checkpoint_that_was_put_back_leads_to_the_same_end(
    prepared: Path, tmp_path: Path, saves: Saves
) -> None:
    whole = contents(trainings.train("classifier", prepared, tmp_path / "whole"))
    checkpoint = stopped("classifier", prepared, tmp_path / "out", saves, 2)
    older = checkpoint.read_bytes()
    stopped("classifier", prepared, tmp_path / "out", saves, 2)
    checkpoint.write_bytes(older)
    assert contents(trainings.train("classifier", prepared, tmp_path / "out")) == whole
    assert saves == [3, 4, 5]


def test_the_checkpoint_of_another_training_is_not_read(prepared: Path, tmp_path: Path, saves: Saves) -> None:
    whole = contents(trainings.train("classifier", prepared, tmp_path / "whole"))
    own = stopped("classifier", prepared, tmp_path / "out", saves, 2)
    other = stopped("classifier", prepared, tmp_path / "other", saves, 4)
    shutil.copy(other, own)
    assert contents(trainings.train("classifier", prepared, tmp_path / "out")) == whole
    assert saves == list(range(1, STEPS + 1))
