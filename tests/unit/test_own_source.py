"""A data set of the user's own: one module with `open_split`, and what is refused of it in one line."""

from pathlib import Path

import numpy as np
import pytest

from assay.data.prepare import prepare_images
from assay.files import AssayError
from assay.inputs import Inputs
from assay.modules import own_model
from assay.stacks import read_stack
from assay.study.images import ImagesSpec, PythonImages

SIZE = 16
MODULE = """
import numpy as np
import pandas as pd

from assay.study.images import PythonSource


class Grey(PythonSource):
    level: int = 7


def open_split(spec, index, folder, scratch):
    size, labels = spec.images.size, np.arange(spec.count) % len(spec.images.classes)
    table = pd.DataFrame({"id": [f"{spec.split}-{row}" for row in range(spec.count)], "label": labels})
    images = np.full((spec.count, size, size, 3), spec.images.level, np.uint8)
    return table, iter([images[:2], images[2:]])
"""


def prepare(root: Path, module: str = MODULE, **keys):
    path = root / f"mine_{len(list(root.iterdir()))}.py"
    path.write_text(module)
    source = {"source": "python", "module": str(path), "size": SIZE, "classes": ("a", "b", "c"), **keys}
    prepare_images(ImagesSpec(images=source, split="test", count=5, seed=0), "", Inputs({}), root / "test")
    return read_stack(root / "test")


def test_a_module_gets_its_spec_with_its_own_keys_and_its_images_become_a_stack(tmp_path: Path) -> None:
    stack = prepare(tmp_path, level=9)
    assert (np.asarray(stack.images) == 9).all()
    assert stack.classes == ["a", "b", "c"]
    assert stack.manifest["facts"]["counts"] == {"a": 2, "b": 2, "c": 1}
    assert (np.asarray(prepare(tmp_path).images) == 7).all()


def test_the_config_s_counts_are_no_keys_of_the_module_s(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(MODULE)
    keys = {"module": str(path), "size": SIZE, "classes": ("a", "b"), "level": 3}
    configured = PythonImages(source="python", train=8, validation=4, folder="data", **keys)
    assert own_model(configured.for_module()).level == 3
    assert not {"train", "validation", "folder"} & configured.content().keys()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"label": labels', '"class": labels', "open_split must return a table with the columns id and label"),
        ('f"{spec.split}-{row}"', '"one"', "open_split gives two images the id one"),
        ("% len(spec.images.classes)", "+ 0", "open_split gives the label 3; labels are 0 to 2"),
        ("np.uint8", "np.float32", "gives images of float32 (2, 16, 16, 3); they must be uint8 (n, 16, 16, 3)"),
        ("size, size, 3", "size, 8, 3", "gives images of uint8 (2, 16, 8, 3); they must be uint8 (n, 16, 16, 3)"),
        ("images[2:]", "images[3:]", "open_split gives 4 images, but its table has 5 rows"),
        ("images[2:]", "images[1:]", "open_split gives 6 or more images, but its table has 5 rows"),
        ("return table, ", "return table[:3], ", "open_split gives 3 images of the split test, not 5"),
    ],
)
def test_what_a_module_gives_is_looked_at(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert MODULE.count(old) == 1
    with pytest.raises(AssayError) as caught:
        prepare(tmp_path, MODULE.replace(old, new))
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path))
    assert not (tmp_path / "test/manifest.json").exists()
