"""Studies on files: PCam's edition and Kaggle's, from the files to the stacks, and what is refused."""

import http.server
import shutil
import threading
from functools import partial

import numpy as np
import pandas as pd
import pytest
from checkout import CONFIG, Checkout

from assay.artifacts import Wanted
from assay.files import read_json, sha256
from assay.inputs import open_images
from assay.manifests import read_manifest
from assay.stacks import pixel_hashes, read_stack
from fake_pcam import PARTS, SIZE, WITH_SLIDES, hashes, meta, name, parts, patches, write_kaggle, write_pcam
from image_folder import CLASSES, write_images
from small_sets import CIFAR10, cifar10_files, noise, tar_of
from stack_files import write_stack

ROLES = "results/tiny/images/roles/manifest.json"
TRAINED = "results/tiny/classifiers/resnet/manifest.json"
SPLITS = ("train", "validation", "test")
PREPARED = {f"prepare_images {split}" for split in SPLITS}
FILES = [*(name(part, content) for part in PARTS for content in "xy"), *map(meta, WITH_SLIDES)]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path):
    """A server's address, and the folder that it serves."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", folder
    server.shutdown()
    server.server_close()


def on(study: Checkout, **images: object) -> None:
    """Have the study use these images."""
    study.set_config(study.config() | {"images": {"size": SIZE, "validation": 14, **images}})


def test_a_study_on_pcam_s_files(fresh: Checkout, mirror) -> None:
    """Files that are there are used, others fetched; what changes later is made again, and nothing else."""
    address, served = mirror
    folder = fresh.root / "data/pcam"
    write_pcam(served, parts())
    folder.mkdir(parents=True)
    for file in FILES[:4]:
        shutil.move(served / file, folder)
    wanted = hashes_of(folder, served)
    on(fresh, source="pcam", mirrors=[address], sha256=wanted)
    fetched = {f"fetch_images {file}" for file in FILES[4:]}
    assert fresh.plan(ROLES) == fetched | {"index_images", "check_images"} | PREPARED
    fresh.complete("--cores", "2", ROLES)
    assert hashes(folder) == wanted
    stacks = {split: read_stack(fresh.results / "images" / split) for split in SPLITS}
    assert {split: len(stack.ids) for split, stack in stacks.items()} == {"train": 80, "validation": 14, "test": 8}
    found = read_json((fresh.root / ROLES).with_name("roles.json"))
    assert found["images"] == {"train": 80, "validation": 14, "test": 8}
    assert found["overlaps"] == 0
    assert fresh.litter() == []

    shutil.rmtree(folder)
    assert fresh.plan(ROLES) == set(), "the stacks are made: the files are not wanted any more"
    fresh.edit(CONFIG, "  images: 8", "  images: 12")
    write_pcam(folder, parts())
    assert fresh.plan(ROLES) == {"prepare_images test", "check_images"}
    fresh.complete("--cores", "2", ROLES)
    assert set(stacks["test"].ids) < set(read_stack(fresh.results / "images/test").ids)

    (folder / FILES[0]).write_bytes(b"damaged")
    fresh.edit(CONFIG, "  images: 12", "  images: 16")
    status, output = fresh.snakemake("--cores", "2", ROLES)
    assert status == 1
    assert f"error: data/pcam/{FILES[0]}: SHA-256 " in output
    assert "Traceback" not in output


def hashes_of(*folders) -> dict[str, str]:
    """The hashes of files that lie in several folders."""
    return {path.name: sha256(path) for folder in folders for path in folder.iterdir()}


def test_a_study_on_cifar10_s_archive(fresh: Checkout, mirror) -> None:
    """One archive is fetched and read for every split; what is made does not need it any more."""
    address, served = mirror
    (served / CIFAR10).write_bytes(tar_of(cifar10_files(noise(40, 10, 0), noise(60, 10, 1))))
    hashes = {CIFAR10: sha256(served / CIFAR10)}
    fresh.set_config(fresh.config() | {"images": {"source": "cifar10", "validation": 10, "sha256": hashes}})
    fresh.edit(CONFIG, "  source: cifar10", f"  source: cifar10\n  mirrors: [{address}]")
    assert fresh.plan(ROLES) == {f"fetch_images {CIFAR10}", "index_images", "check_images"} | PREPARED
    fresh.complete("--cores", "2", ROLES)
    stacks = {split: read_stack(fresh.results / "images" / split) for split in SPLITS}
    assert {split: stack.images.shape for split, stack in stacks.items()} == {
        "train": (50, 32, 32, 3),
        "validation": (10, 32, 32, 3),
        "test": (8, 32, 32, 3),
    }
    assert {split: stack.ids[0].split("-")[0] for split, stack in stacks.items()} == {
        "train": "train",
        "validation": "train",
        "test": "test",
    }
    shutil.rmtree(fresh.root / "data/cifar10")
    assert fresh.plan(ROLES) == set()
    assert fresh.litter() == []


def test_a_study_on_kaggle_s_files_and_one_whose_roles_overlap(fresh: Checkout) -> None:
    write_kaggle(fresh.root / "data/kaggle", *patches(60, 0))
    on(fresh, source="kaggle")
    assert fresh.plan(ROLES) == {"index_images", "check_images"} | PREPARED
    fresh.complete("--cores", "2", ROLES)
    stacks = {split: read_stack(fresh.results / "images" / split) for split in SPLITS}
    assert {split: len(stack.ids) for split, stack in stacks.items()} == {"train": 38, "validation": 14, "test": 8}
    assert len({text for stack in stacks.values() for text in stack.table["pixels"]}) == 60
    assert fresh.plan(ROLES) == set()

    plant(fresh, stacks["test"].images[3])
    status, output = fresh.snakemake("--cores", "2")
    assert status == 1
    test = stacks["test"].ids[3]
    assert f"error: results/tiny/images: 1 of 8 test images stand in train too ({test}); lower " in output
    assert not (fresh.results / "classifiers").exists()
    assert (fresh.root / ROLES).is_file(), "kept, so that the next check does not count as a reason to train anew"


def plant(study: Checkout, image: np.ndarray) -> None:
    """Have the image among those to train on, as another program might."""
    folder = study.results / "images/train"
    stack = read_stack(folder)
    images = np.array(stack.images)
    images[0] = image
    table = pd.DataFrame(stack.table).assign(pixels=pixel_hashes(images))
    inputs = {"index": folder.parent / "index/manifest.json"}
    with Wanted(folder, "stack", stack.manifest["spec"], stack.manifest["code"], inputs).write({}) as draft:
        draft.facts |= stack.manifest["facts"]
        write_stack(draft, images, table)


def test_a_study_on_a_folder_of_image_files(fresh: Checkout, monkeypatch) -> None:
    """Training reads the image files; test and validation images become stacks."""
    write_images(fresh.root / "data/tissue", count=20)
    on(fresh, source="folder", folder="data/tissue")
    assert fresh.plan(ROLES) == {"index_images", "check_images"} | PREPARED
    fresh.complete("--cores", "2", TRAINED)
    assert not (fresh.results / "images/train/images.tif").exists()
    assert read_manifest(fresh.root / TRAINED.removesuffix("/manifest.json"))["facts"]["classes"] == list(CLASSES)
    monkeypatch.chdir(fresh.root)
    train, test = (open_images(fresh.results / "images" / split) for split in ("train", "test"))
    assert train.classes == test.classes == list(CLASSES)
    assert train.rows(range(len(train))).shape == (60 - 14 - 8, SIZE, SIZE, 3)
    counts = read_json((fresh.root / ROLES).with_name("roles.json"))["images"]
    assert counts == {"train": 38, "validation": 14, "test": 8}
    assert fresh.plan(TRAINED) == set()
    assert fresh.litter() == []
    fresh.edit("src/assay/data/decode.py", "Resampling.BICUBIC", "Resampling.BILINEAR")
    assert {"index_images", "prepare_images train", "train_classifier resnet"} <= fresh.plan(TRAINED)


MODULE = '''
import numpy as np
import pandas as pd

from assay.study.images import PythonSource


class Stripes(PythonSource):
    """Horizontal or vertical stripes."""

    period: int = 4


def open_split(spec, index, folder, scratch):
    rng = np.random.default_rng([spec.seed, len(spec.split), *spec.split.encode()])
    size, labels = spec.images.size, np.arange(spec.count) % 2
    phases = rng.integers(0, 256, (spec.count, size, size, 3), np.uint8) // 8
    waves = 200 * (np.arange(size) % spec.images.period < spec.images.period // 2)
    images = np.where(labels[:, None, None, None], waves[:, None], waves[:, None, None]).astype(np.uint8) + phases
    table = pd.DataFrame({"id": [f"{spec.split}-{row}" for row in range(spec.count)], "label": labels})
    return table, iter([images])
'''


def test_a_study_on_a_source_of_the_user_s_own(fresh: Checkout) -> None:
    fresh.root.joinpath("mine").mkdir()
    (fresh.root / "mine/stripes.py").write_text(MODULE)
    on(fresh, source="python", module="mine/stripes.py", classes=["flat", "upright"], train=20, period=8)
    assert fresh.plan(ROLES) == {"check_images"} | PREPARED
    fresh.complete("--cores", "2", ROLES)
    stack = read_stack(fresh.results / "images/train")
    assert stack.classes == ["flat", "upright"]
    assert stack.manifest["facts"]["counts"] == {"flat": 10, "upright": 10}
    assert stack.manifest["spec"]["images"]["period"] == 8
    assert fresh.plan(ROLES) == set()
    fresh.edit(CONFIG, "validation: 14", "validation: 12")
    assert fresh.plan(ROLES) == {"prepare_images validation", "check_images"}
    fresh.edit("mine/stripes.py", "// 8", "// 16")
    assert fresh.plan(ROLES) == {"check_images"} | PREPARED
    on(fresh, source="python", module="mine/stripes.py", classes=["flat", "upright"], train=20, perod=8)
    status, output = fresh.snakemake("--dry-run")
    assert status == 1
    assert "config/tiny.yaml: images.perod: unknown key of mine/stripes.py; did you mean 'period'?" in output
