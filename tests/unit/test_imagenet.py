"""ImageNet's validation images: from the archives or from class folders, as timm and torchvision see them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assay.data.index import index_images
from assay.data.prepare import prepare_images
from assay.files import AssayError
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.networks.libraries import import_library
from assay.stacks import Images, read_table
from assay.study.images import ImagenetImages, ImagesSpec, IndexSpec
from small_sets import (
    IDS,
    KIT,
    TAR,
    WNIDS,
    development_kit,
    imagenet_name,
    jpeg,
    photographs,
    sha256,
    tar_of,
    write_imagenet,
)

SIZE = 32
LABELS = [1, 0, 2, 2, 1, 0, 0, 1, 2, 1, 2, 0, 2, 2, 1, 1, 0, 0]
FILES = photographs(len(LABELS))
COUNTS = {"test": 3, "selection": 3, "validation": 3, "train": None}


class Source:
    """The archives or class folders, and what the stages make of them."""

    def __init__(self, root: Path, folder: Path, **keys: object) -> None:
        self.root, self.folder = root, folder
        self.keys = {"source": "imagenet", "size": SIZE} | keys

    def images(self) -> dict:
        beside = self.folder.parent
        return self.keys | {
            "sha256": {name: sha256(beside / name) for name in (TAR, KIT) if (beside / name).is_file()} or None
        }

    def index(self) -> dict:
        """The index's facts."""
        index_images(IndexSpec(images=self.images()), "", self.folder, self.root / "index")
        return read_manifest(self.root / "index", "index")["facts"]

    def split(self, split: str) -> Images:
        configured = ImagenetImages(**self.keys, validation=3)
        beside = configured.beside(split, COUNTS)
        spec = ImagesSpec(images=self.images(), split=split, count=COUNTS[split], beside=beside, seed=0)
        prepare_images(spec, "", Inputs({"index": self.root / "index"}), self.root / split, self.folder)
        return Inputs({"images": self.root / split}).images()


@pytest.fixture
def archives(tmp_path: Path) -> Source:
    write_imagenet(tmp_path / "imagenet", LABELS, FILES)
    return Source(tmp_path, tmp_path / "imagenet" / TAR)


def unpacked(root: Path, **keys: object) -> Source:
    """The same images in class folders."""
    for number, (label, content) in enumerate(zip(LABELS, FILES, strict=True), 1):
        path = root / "val" / WNIDS[label] / imagenet_name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Source(root, root / "val", **keys)


def number_of(name: str) -> int:
    return int(Path(name).stem.rsplit("_", 1)[1]) - 1


def test_the_published_hashes_are_pinned() -> None:
    assert ImagenetImages(source="imagenet", validation=3).content()["sha256"] == {
        TAR: "29b22e2961454d5413ddabcf34fc5622",
        KIT: "fa75699e90414af021442c21a62c3abf",
    }


def test_plans_reckon_with_a_thousand_classes_though_only_the_files_tell_their_names() -> None:
    images = ImagenetImages(source="imagenet", validation=3, every=50)
    assert (images.classes, images.expected_classes) == (None, 1000)
    assert images.held == {"every": 1000, "rest": 49_000}


def test_the_kit_tells_each_image_s_class_by_the_order_of_the_names(archives: Source) -> None:
    facts = archives.index()
    assert facts["classes"] == list(WNIDS)
    assert list(IDS) != sorted(IDS), "or the ids would do for places"
    table = read_table(archives.root / "index/table.csv", ("id",))
    assert {number_of(name): label for name, label in zip(table["id"], table["label"], strict=True)} == dict(
        enumerate(LABELS)
    )


def test_class_folders_give_what_the_archives_give(archives: Source, tmp_path: Path) -> None:
    archives.index()
    (tmp_path / "other").mkdir()
    folders = unpacked(tmp_path / "other")
    folders.index()
    for split in COUNTS:
        one, other = archives.split(split), folders.split(split)
        assert sorted(map(number_of, one.ids)) == sorted(map(number_of, other.ids))
        assert len(one) == (COUNTS[split] or 9)
        by_name = {Path(name).name: row for row, name in enumerate(other.ids)}
        rows = [by_name[Path(name).name] for name in one.ids]
        assert np.array_equal(one.rows(range(len(one))), other.rows(rows))
        assert one.labels.tolist() == other.labels[rows].tolist()


def test_every_kth_image_counts_over_classes_and_names(tmp_path: Path) -> None:
    source = unpacked(tmp_path, every=6)
    source.index()
    ordered = sorted((WNIDS[label], imagenet_name(number)) for number, label in enumerate(LABELS, 1))
    assert source.split("test").ids == ["/".join(each) for each in ordered[::6]]
    rest = {name for split in ("train", "validation", "selection") for name in source.split(split).ids}
    assert rest == {"/".join(each) for place, each in enumerate(ordered) if place % 6}


WAYS = [
    ({"mode": "crop", "resize": 36, "interpolation": "bilinear"}, {"crop_pct": 32 / 36, "interpolation": "bilinear"}),
    ({"mode": "crop"}, {"crop_pct": 1.0, "interpolation": "bicubic"}),
    ({"mode": "squash"}, {"crop_pct": 1.0, "crop_mode": "squash", "interpolation": "bicubic"}),
    ({"mode": "squash", "resize": 35}, {"crop_pct": 0.9, "crop_mode": "squash", "interpolation": "bicubic"}),
]


@pytest.mark.parametrize(("preprocess", "timm"), WAYS)
def test_images_are_what_timm_s_transform_makes_of_the_files(tmp_path: Path, preprocess: dict, timm: dict) -> None:
    create_transform = import_library("timm.data").create_transform
    transform = create_transform(SIZE, is_training=False, normalize=False, **timm)
    source = unpacked(tmp_path, preprocess=preprocess)
    source.index()
    for split in ("test", "train"):
        images = source.split(split)
        for name, stored in zip(images.ids, images.rows(range(len(images))), strict=True):
            with Image.open(io.BytesIO(FILES[number_of(name)])) as file:
                expected = np.asarray(transform(file.convert("RGB")))
            assert np.array_equal(stored, expected.transpose(1, 2, 0))


def test_an_exif_tag_does_not_turn_a_photograph_as_published_networks_never_saw_it_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.asarray(Image.open(io.BytesIO(FILES[0])))
    files = [jpeg(pixels, exif=exif), *FILES[1:]]
    write_imagenet(tmp_path / "plain", LABELS, [jpeg(pixels), *FILES[1:]])
    write_imagenet(tmp_path / "tagged", LABELS, files)
    hashes = []
    for name in ("plain", "tagged"):
        (tmp_path / f"at-{name}").mkdir()
        Source(tmp_path / f"at-{name}", tmp_path / name / TAR).index()
        hashes.append(read_table(tmp_path / f"at-{name}/index/table.csv", ("pixels",))["pixels"].tolist())
    assert hashes[0] == hashes[1]


NAMES = {imagenet_name(number): content for number, content in enumerate(FILES, 1)}
FAULTS = {
    "no tar": (TAR, b"no tar" * 99, "is no whole uncompressed tar ("),
    "cut off": (TAR, tar_of(NAMES, "w")[:5000], "does not hold the 18 images that"),
    "an image too few": (
        TAR,
        tar_of(dict(list(NAMES.items())[1:]), "w"),
        f"does not hold the 18 images that {KIT} tells of; get it anew",
    ),
    "other images": (TAR, tar_of(NAMES | {"cat.JPEG": b""}, "w"), "does not hold the 18 images that"),
    "no kit": (KIT, b"no kit", "is not ImageNet's development kit ("),
    "another kit": (KIT, tar_of({"readme.txt": b""}), "is not ImageNet's development kit ("),
    "cut kit": (KIT, development_kit(LABELS)[:-300], "is not ImageNet's development kit ("),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_faulty_archive_is_one_line_that_names_it(archives: Source, case: str) -> None:
    name, content, message = FAULTS[case]
    path = archives.folder.with_name(name)
    path.write_bytes(content)
    assert refusal(archives.index).startswith(f"{path}: {message}")
    assert not (archives.root / "index").exists()


def test_the_archives_are_verified_before_they_are_read(archives: Source) -> None:
    images = archives.images()
    archives.images = lambda: images
    kit = archives.folder.with_name(KIT)
    kit.write_bytes(kit.read_bytes() + b"0")
    assert refusal(archives.index).startswith(f"{kit}: SHA-256 {sha256(kit)}, expected {images['sha256'][KIT]}; delete")
    kit.unlink()
    assert refusal(archives.index).startswith(f"{kit}: not found;")


def test_broken_images_are_named_and_other_folders_are_refused(tmp_path: Path) -> None:
    source = unpacked(tmp_path)
    broken = source.folder / WNIDS[1] / imagenet_name(1)
    broken.write_bytes(FILES[0][:300])
    assert refusal(source.index).startswith(f"{broken}: cannot be read as an image (")
    source = Source(tmp_path, tmp_path)
    assert refusal(source.index).startswith(
        f"{tmp_path}: val/{WNIDS[0]}/{imagenet_name(2)} does not lie in the folder of a class, such as n01440764;"
    )


def refusal(act) -> str:
    with pytest.raises(AssayError) as caught:
        act()
    assert "\n" not in str(caught.value)
    return str(caught.value)
