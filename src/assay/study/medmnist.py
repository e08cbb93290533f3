"""The config's model of MedMNIST v2 (Yang et al. 2023): small medical images, each with one label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import Field

from assay.study.fields import PositiveInt
from assay.study.sources import (
    CHECKSUMS,
    FILES_FOLDER,
    MIRRORS,
    VALIDATION,
    Checksums,
    Fetched,
    InParts,
    Pinned,
    PublishedFile,
    Split,
    TrackedFolder,
    Url,
)

Side = Literal[28, 64, 128, 224]
SIDES: tuple[Side, ...] = (28, 64, 128, 224)
PARTS: dict[Split, str] = {"test": "test", "selection": "val", "validation": "val", "train": "train"}


class MedMnist(NamedTuple):
    """One of MedMNIST's data sets: its classes, its images by part, and the MD5 of its file for each of `SIDES`."""

    classes: tuple[str, ...]
    test: int
    val: int
    train: int
    md5: tuple[str, str, str, str]


ORGANS = (
    "bladder",
    "femur-left",
    "femur-right",
    "heart",
    "kidney-left",
    "kidney-right",
    "liver",
    "lung-left",
    "lung-right",
    "pancreas",
    "spleen",
)
# Those of MedMNIST's data sets whose images are flat and have one label each; facts from MedMNIST's own info.py 3.0.2.
MEDMNIST = {
    "pathmnist": MedMnist(
        (
            "adipose",
            "background",
            "debris",
            "lymphocytes",
            "mucus",
            "smooth muscle",
            "normal colon mucosa",
            "cancer-associated stroma",
            "colorectal adenocarcinoma epithelium",
        ),
        7_180,
        10_004,
        89_996,
        (
            "a8b06965200029087d5bd730944a56c1",
            "55aa9c1e0525abe5a6b9d8343a507616",
            "ac42d08fb904d92c244187169d1fd1d9",
            "2c51a510bcdc9cf8ddb2af93af1eadec",
        ),
    ),
    "dermamnist": MedMnist(
        (
            "actinic keratoses and intraepithelial carcinoma",
            "basal cell carcinoma",
            "benign keratosis-like lesions",
            "dermatofibroma",
            "melanoma",
            "melanocytic nevi",
            "vascular lesions",
        ),
        2_005,
        1_003,
        7_007,
        (
            "0744692d530f8e62ec473284d019b0c7",
            "b70a2f5635c6199aeaa28c31d7202e1f",
            "2defd784463fa5243564e855ed717de1",
            "8974907d8e169bef5f5b96bc506ae45d",
        ),
    ),
    "octmnist": MedMnist(
        (
            "choroidal neovascularization",
            "diabetic macular edema",
            "drusen",
            "normal",
        ),
        1_000,
        10_832,
        97_477,
        (
            "c68d92d5b585d8d81f7112f81e2d0842",
            "e229e9440236b774d9f0dfef9d07bdaf",
            "0a97e76651ace45c5d943ee3f65b63ae",
            "abc493b6d529d5de7569faaef2773ba3",
        ),
    ),
    "pneumoniamnist": MedMnist(
        (
            "normal",
            "pneumonia",
        ),
        624,
        524,
        4_708,
        (
            "28209eda62fecd6e6a2d98b1501bb15f",
            "8f4eceb4ccffa70c672198ea285246c6",
            "05b46931834c231683c68f40c47b2971",
            "d6a3c71de1b945ea11211b03746c1fe1",
        ),
    ),
    "retinamnist": MedMnist(
        (
            "grade 0",
            "grade 1",
            "grade 2",
            "grade 3",
            "grade 4",
        ),
        400,
        120,
        1_080,
        (
            "bd4c0672f1bba3e3a89f0e4e876791e4",
            "afda852cc34dcda56f86ad2b2457dbcc",
            "e48e916a24454daf90583d4e6efb1a18",
            "eae7e3b6f3fcbda4ae613ebdcbe35348",
        ),
    ),
    "breastmnist": MedMnist(
        (
            "malignant",
            "normal, benign",
        ),
        156,
        78,
        546,
        (
            "750601b1f35ba3300ea97c75c52ff8f6",
            "742edef2a1fd1524b2efff4bd7ba9364",
            "363e4b3f8d712e9b5de15470a2aaadf1",
            "b56378a6eefa9fed602bb16d192d4c8b",
        ),
    ),
    "bloodmnist": MedMnist(
        (
            "basophil",
            "eosinophil",
            "erythroblast",
            "immature granulocytes",
            "lymphocyte",
            "monocyte",
            "neutrophil",
            "platelet",
        ),
        3_421,
        1_712,
        11_959,
        (
            "7053d0359d879ad8a5505303e11de1dc",
            "2b94928a2ae4916078ca51e05b6b800b",
            "adace1e0ed228fccda1f39692059dd4c",
            "b718ff6835fcbdb22ba9eacccd7b2601",
        ),
    ),
    "tissuemnist": MedMnist(
        (
            "Collecting Duct, Connecting Tubule",
            "Distal Convoluted Tubule",
            "Glomerular endothelial cells",
            "Interstitial endothelial cells",
            "Leukocytes",
            "Podocytes",
            "Proximal Tubule Segments",
            "Thick Ascending Limb",
        ),
        47_280,
        23_640,
        165_466,
        (
            "ebe78ee8b05294063de985d821c1c34b",
            "123ece2eba09d0aa5d698fda57103344",
            "61b955355d7425a89687b06cca3ce0c2",
            "b077128c4a949f0a4eb01517f9037b9c",
        ),
    ),
    "organamnist": MedMnist(
        ORGANS,
        17_778,
        6_491,
        34_561,
        (
            "68e3f8846a6bd62f0c9bf841c0d9eacc",
            "2dcccc29b88e6da5a01161ef20cda288",
            "eeae80d0a227a8d099027e1b3cfd3b60",
            "50747347e05c87dd3aaf92c49f9f3170",
        ),
    ),
    "organcmnist": MedMnist(
        ORGANS,
        8_216,
        2_392,
        12_975,
        (
            "b9ceb9546e10131b32923c5bbeaea2b1",
            "3ce34a8724ea6f548e6db4744d03b6a9",
            "773c1f009daa3fe5d9a2a201b2a7ed94",
            "050f5e875dc056f6768abf94ec9995d1",
        ),
    ),
    "organsmnist": MedMnist(
        ORGANS,
        8_827,
        2_452,
        13_932,
        (
            "9ab87b696fb54e2a387ebe992d6ed5f1",
            "53a6d115339d874c25e309a994ff46d3",
            "ded0c5fa01a95dc4978b956f613e9b8e",
            "b354719e553fbbb2513d5533f52a4cb1",
        ),
    ),
}
Dataset = Literal[
    "pathmnist",
    "dermamnist",
    "octmnist",
    "pneumoniamnist",
    "retinamnist",
    "breastmnist",
    "bloodmnist",
    "tissuemnist",
    "organamnist",
    "organcmnist",
    "organsmnist",
]


class MedMnistSource(Pinned):
    """One of MedMNIST's files, or other data in the same format."""

    source: Literal["medmnist"] = Field(
        description="One of MedMNIST's data sets, one `.npz`: flat images with one label each, grey ones made RGB."
    )
    dataset: Dataset = Field("pathmnist", description="Which of them.")
    size: Side = Field(28, description="Side of an image in pixels; there is a file for each.")
    sha256: Checksums | None = Field(None, description=CHECKSUMS)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the data set's classes; a label is a place among them."""
        return MEDMNIST[self.dataset].classes

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.dataset}.npz" if self.size == SIDES[0] else f"{self.dataset}_{self.size}.npz"

    @property
    def published(self) -> dict[str, PublishedFile]:
        return {self.file: PublishedFile(MEDMNIST[self.dataset].md5[SIDES.index(self.size)])}

    def part(self, split: Split) -> str:
        return PARTS[split]


class MedMnistImages(MedMnistSource, Fetched, InParts):
    """MedMNIST: each split is drawn from its own part of the file, selection and validation from the part `val`."""

    folder: TrackedFolder = Field("data/medmnist", description=FILES_FOLDER)
    mirrors: list[Url] = Field(["https://zenodo.org/records/10519652/files/"], min_length=1, description=MIRRORS)
    train: PositiveInt | None = Field(None, description="Images to train on; all of the training part if absent.")
    validation: PositiveInt = Field(description=VALIDATION)

    @property
    def total(self) -> int:
        return sum(self._published_counts.values())

    @property
    def held(self) -> Mapping[str, int]:
        return {} if self.sha256 else self._published_counts

    @property
    def _published_counts(self) -> dict[str, int]:
        """The images of each part of the published file."""
        published = MEDMNIST[self.dataset]
        return {"test": published.test, "val": published.val, "train": published.train}

    def files_of(self, split: Split) -> list[str]:
        return self.files

    def left(self, others: int) -> int:
        return MEDMNIST[self.dataset].train
