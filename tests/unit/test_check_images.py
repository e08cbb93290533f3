"""No image plays two roles, whatever made the stacks."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assay.artifacts import Wanted
from assay.data.check import check_images
from assay.data.prepare import prepare_images
from assay.files import AssayError
from assay.inputs import Inputs
from assay.stacks import pixel_hashes, read_stack
from assay.study.images import ImagesSpec, RolesSpec
from fake_pcam import patches
from stack_files import write_stack

SPLITS = ("train", "validation", "selection", "test")


def write(root: Path, split: str, images: np.ndarray, hashes: list[str] | None = None) -> None:
    ids = [f"{split}-{index:06d}" for index in range(len(images))]
    pixels = pixel_hashes(images) if hashes is None else hashes
    with Wanted(root / split, "stack", {"split": split}, "", {}).write({}) as draft:
        write_stack(draft, images, pd.DataFrame({"id": ids, "label": 0, "pixels": pixels}))


def check(root: Path) -> dict:
    check_images(RolesSpec(), "", Inputs({split: root / split for split in SPLITS}), root / "roles")
    return json.loads((root / "roles/roles.json").read_text())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, split in enumerate(SPLITS):
        write(tmp_path, split, patches(10 + seed, seed)[0])
    return tmp_path


def test_splits_without_a_common_image_are_counted(root: Path) -> None:
    images = np.array(read_stack(root / "train").images)
    write(root, "train", np.concatenate([images, images[:2]]))
    assert check(root) == {
        "duplicates": {"train": 2, "validation": 0, "selection": 0, "test": 0},
        "images": {"train": 12, "validation": 11, "selection": 12, "test": 13},
        "overlaps": 0,
    }


@pytest.mark.parametrize(("one", "other"), [("test", "train"), ("test", "selection"), ("selection", "train")])
def test_an_image_in_two_splits_is_refused_with_its_id(root: Path, one: str, other: str) -> None:
    images = np.array(read_stack(root / other).images)
    images[4] = read_stack(root / one).images[7]
    write(root, other, images)
    with pytest.raises(AssayError) as caught:
        check(root)
    assert str(caught.value).startswith(
        f"{root}: 1 of {len(read_stack(root / one).ids)} {one} images stand in {other} too ({one}-000007); lower "
    )
    assert not (root / "roles").exists()


def test_a_few_of_many_ids_are_named(root: Path) -> None:
    write(root, "train", np.array(read_stack(root / "test").images))
    with pytest.raises(
        AssayError,
        match=r": 13 of 13 test images stand in train too \(test-000000, test-000001, test-000002, …\); lower ",
    ):
        check(root)


def test_images_that_are_not_those_of_the_table_are_refused(root: Path) -> None:
    images = np.array(read_stack(root / "train").images)
    write(root, "train", images, pixel_hashes(images[::-1]))
    with pytest.raises(AssayError, match="train: its images are not those that its table names"):
        check(root)


def test_the_phantom_s_splits_share_no_image(tmp_path: Path) -> None:
    for split in SPLITS:
        source = {"source": "phantom", "size": 16}
        prepare_images(ImagesSpec(images=source, split=split, count=8, seed=0), "", Inputs({}), tmp_path / split)
    assert check(tmp_path)["images"] == dict.fromkeys(SPLITS, 8)
