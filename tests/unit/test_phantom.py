import hashlib

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.ndimage import label as connected

from assay.data.phantom import lesion, tissue, tumour
from assay.data.phantom.chance import generator
from assay.data.phantom.field import pixel_centres
from assay.data.phantom.nuclei import draw_cells
from assay.data.phantom.task import SPLITS
from assay.data.phantom.tumour import generate
from assay.data.prepare import prepare_images
from assay.inputs import Inputs
from assay.planning.fingerprint import reachable
from assay.stacks import read_stack
from assay.study.images import ImagesSpec, PhantomSource


@pytest.fixture(scope="module")
def many():
    return generate(0, "train", range(2000), 16)


def scene_of(image_id, label=None, seed=0, split="test"):
    label = tumour.label_of(seed, split, image_id) if label is None else label
    return tumour.draw_scene(generator("image", seed, split, image_id), label)


def tumour_in_centre(scene, size):
    """Haematoxylin of tumour nuclei (pixels,) at the pixels whose middle lies in the centre third."""
    stain, _ = draw_cells(scene.tumour, size, tumour.CYTOPLASM)
    middle = pixel_centres(size)
    low, high = tumour.CENTRE
    inside = (middle >= low) & (middle <= high)
    return stain[np.ix_(inside, inside)].ravel()


def accuracy_of_logistic_regression(features, labels):
    """Fitted by Newton's method on the first half, scored on the second."""
    x = np.column_stack([(features - features.mean(0)) / features.std(0), np.ones(len(features))])
    half = len(x) // 2
    weights = np.zeros(x.shape[1])
    for _ in range(10):
        p = 1 / (1 + np.exp(-x[:half] @ weights))
        hessian = (x[:half].T * (p * (1 - p))) @ x[:half] + 1e-6 * np.eye(len(weights))
        weights += np.linalg.solve(hessian, x[:half].T @ (labels[:half] - p))
    return np.mean((x[half:] @ weights > 0) == labels[half:])


@pytest.mark.parametrize("size", [16, 32, 33, 96])
def test_images_and_labels_have_the_promised_types_and_shapes(size):
    images, labels = generate(0, "train", range(3), size)
    assert (images.dtype, images.shape) == (np.uint8, (3, size, size, 3))
    assert (labels.dtype, labels.shape) == (np.uint8, (3,))
    assert set(labels) == {0, 1}


def test_no_ids_give_no_images():
    images, labels = generate(0, "train", [], 32)
    assert images.shape == (0, 32, 32, 3)
    assert labels.shape == (0,)


def test_same_arguments_give_the_same_bytes():
    first, second = (generate(3, "validation", range(6), 32) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_an_image_depends_neither_on_the_order_nor_on_the_company_of_its_id():
    images, labels = generate(0, "test", range(8), 32)
    order = np.array([5, 0, 7, 5])
    some_images, some_labels = generate(0, "test", order, 32)
    assert np.array_equal(some_images, images[order])
    assert np.array_equal(some_labels, labels[order])


def test_seeds_splits_and_ids_give_different_images():
    patches = [
        image.tobytes() for seed in (0, 1) for split in SPLITS for image in generate(seed, split, range(4), 32)[0]
    ]
    assert len(set(patches)) == len(patches)


# Images and labels as they were before there were other tasks. Everything is computed in double precision and rounded
# to 8 bits. The value nearest to a rounding boundary is 2e-6 away from it, so the last digits of a machine's exp or
# matrix product cannot show.
PINNED = [
    (32, 0, "train", 6, "1b423909ef523039048ec149da0a9c16827c679c138ecb4e3d51a821421b5003"),
    (32, 7, "selection", 6, "023597d46116a2fbf2fd7f4ed92d27d6c600adc433c5199fba196177fd18b1af"),
    (96, 0, "train", 3, "73646c85c2204c58b383f798530fa82bc19048c08ba2d8050386799f9c1507bd"),
    (96, 7, "selection", 3, "e67e55bb41a7a5617a5c327220bd8eb46e76e18ab98a779867c5cb4b69b12d33"),
]


@pytest.mark.parametrize(("size", "seed", "split", "count", "digest"), PINNED)
def test_tumour_s_bytes_are_those_of_before_there_were_other_tasks(size, seed, split, count, digest):
    images, labels = generate(seed, split, range(count), size)
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == digest


def test_each_pair_of_ids_holds_one_of_each_class_in_an_order_left_to_chance(many):
    pairs = many[1].reshape(-1, 2)
    assert (pairs.sum(axis=1) == 1).all()
    assert 0.45 < pairs[:, 0].mean() < 0.55


def test_label_order_differs_between_seeds_and_splits():
    orders = [[tumour.label_of(seed, split, i) for i in range(200)] for seed in (0, 1) for split in SPLITS]
    for i, a in enumerate(orders):
        for b in orders[i + 1 :]:
            assert 0.3 < np.mean(np.equal(a, b)) < 0.7


@pytest.mark.parametrize("size", [16, 33, 96])
def test_negatives_have_no_tumour_nucleus_in_the_centre_third(size):
    for image_id in range(80):
        assert tumour_in_centre(scene_of(image_id, label=0), size).max() == 0


def test_positives_have_clear_tumour_nuclei_in_the_centre_third():
    for image_id in range(80):
        scene = scene_of(image_id, label=1)
        inside = np.logical_and(
            *((v > tumour.CENTRE[0]) & (v < tumour.CENTRE[1]) for v in (scene.tumour.x, scene.tumour.y))
        )
        assert inside.any()
        assert np.mean(tumour_in_centre(scene, 96) > 0.25) > 0.05


def test_tumour_positions_vary_over_the_centre_third():
    scenes = [scene_of(image_id, label=1) for image_id in range(200)]
    x, y = np.array([(scene.tumour.x[0], scene.tumour.y[0]) for scene in scenes]).T
    for v in (x, y):
        counts, _ = np.histogram(v, bins=4, range=tumour.CENTRE)
        assert counts.min() > 25


def test_the_label_changes_nothing_but_the_deciding_nuclei_and_those_in_their_place():
    for image_id in range(40):
        negative, positive = (scene_of(image_id, label) for label in (0, 1))
        deciding = len(positive.tumour) - len(negative.tumour)
        assert deciding > 0
        assert np.array_equal(positive.tumour.x[deciding:], negative.tumour.x)
        assert set(positive.normal.x) <= set(negative.normal.x)
        for name in ("stains", "openness", "fibre", "coarse", "medium", "fine", "clefts"):
            assert np.array_equal(getattr(positive, name), getattr(negative, name)), name


def test_mean_colour_does_not_tell_the_label(many):
    images, labels = many
    assert accuracy_of_logistic_regression(images.mean(axis=(1, 2)), labels) < 0.65


def test_sizes_show_the_same_tissue():
    fine, coarse = (generate(0, "train", range(4), size)[0].astype(float) for size in (96, 32))
    averaged = fine.reshape(4, 32, 3, 32, 3, 3).mean(axis=(2, 4))
    for a, b in zip(averaged, coarse, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.93


def test_colours_are_those_of_stained_tissue():
    red, green, blue = np.moveaxis(generate(0, "train", range(40), 96)[0].astype(float), -1, 0)
    assert red.mean() > green.mean() + 30  # pink to purple
    assert blue.mean() > green.mean() + 30
    dark = red < np.quantile(red, 0.05)
    assert blue[dark].mean() > red[dark].mean() + 30  # nuclei are blue


@pytest.mark.parametrize(
    ("split", "ids", "size", "message"),
    [
        ("train", [0], 15, "size must be at least 16 pixels, got 15"),
        ("trian", [0], 32, "split must be one of train, validation, selection, test, got 'trian'"),
        ("trian", [], 32, "split must be one of"),
        ("train", [3, -1], 32, "image ids must not be negative, got -1"),
    ],
)
def test_invalid_arguments_are_refused_in_one_clear_line(split, ids, size, message):
    with pytest.raises(ValueError, match=message):
        generate(0, split, ids, size)


# --- all tasks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [tumour, tissue, lesion])
def test_an_image_of_any_task_follows_from_its_id_alone(task):
    images, labels = task.generate(3, "test", range(10), 32)
    order = np.array([7, 0, 9, 7])
    some_images, some_labels = task.generate(3, "test", order, 32)
    assert np.array_equal(some_images, images[order])
    assert np.array_equal(some_labels, labels[order])


@pytest.mark.parametrize("task", [tissue, lesion])
def test_seeds_splits_and_ids_of_the_other_tasks_give_different_images(task):
    patches = [
        image.tobytes() for seed in (0, 1) for split in SPLITS for image in task.generate(seed, split, range(9), 32)[0]
    ]
    assert len(set(patches)) == len(patches)


@pytest.mark.parametrize("task", [tissue, lesion])
def test_sizes_show_the_same_tissue_in_the_other_tasks(task):
    fine, coarse = (task.generate(0, "train", range(36), size)[0].astype(float) for size in (96, 32))
    averaged = fine.reshape(36, 32, 3, 32, 3, 3).mean(axis=(2, 4))
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(averaged, coarse, strict=True)]
    assert np.median(alike) > 0.95
    assert np.min(alike) > 0.8  # bare glass shows little but the camera's noise


@pytest.mark.parametrize("task", [tissue, lesion])
@pytest.mark.parametrize("size", [32, 33, 224])
def test_the_other_tasks_can_be_drawn_at_any_size_from_32(task, size):
    images, labels = task.generate(0, "train", range(9), size)
    assert (images.dtype, images.shape) == (np.uint8, (9, size, size, 3))
    assert (labels.dtype, labels.shape) == (np.uint8, (9,))


@pytest.mark.parametrize("task", ["tissue", "lesion"])
def test_a_config_with_images_too_small_for_its_task_is_refused(task):
    with pytest.raises(ValidationError, match=f"size: must be at least 32 for task {task}, got 31"):
        PhantomSource(source="phantom", task=task, size=31)


@pytest.mark.parametrize(("task", "others"), [("tumour", "tissue lesion kinds"), ("tissue", "tumour lesion")])
def test_a_task_does_not_depend_on_another_s_code(task, others):
    files = reachable(PhantomSource(source="phantom", task=task).implementation)
    assert not {other for path in files for other in others.split() if other in (path.stem, path.parent.name)}


# --- tissue -----------------------------------------------------------------------------------------------------------


def test_each_nine_ids_hold_one_of_each_kind_in_an_order_left_to_chance():
    hands = np.array([tissue.label_of(0, "train", i) for i in range(9 * 60)]).reshape(-1, 9)
    assert (np.sort(hands, axis=1) == np.arange(9)).all()
    assert len({tuple(hand) for hand in hands.tolist()}) > 55


def test_the_kinds_of_tissue_stand_in_the_order_of_their_names():
    names = PhantomSource(source="phantom", task="tissue").classes
    modules = [kind.__name__.rpartition(".")[2] for kind in tissue.KINDS]
    assert len(names) == len(modules)
    assert all(module in name.split() for module, name in zip(modules, names, strict=True))


def test_colour_histograms_do_not_tell_the_kinds():
    train, labels = tissue.generate(0, "train", range(900), 32)
    test, truth = tissue.generate(0, "test", range(360), 32)
    x, y = histograms(train), np.eye(9)[labels]
    weights = np.linalg.solve(x.T @ x + 0.1 * np.eye(x.shape[1]), x.T @ y)
    accuracy = np.mean((histograms(test) @ weights).argmax(axis=1) == truth)
    assert 1 / 9 < accuracy < 0.55


def histograms(images):
    """Square roots of the shares of 16 levels of each channel and of all of 4³ colours, and 1: (n, 113)."""
    flat = images.reshape(len(images), -1, 3).astype(int)
    levels = [np.stack([np.bincount(row, minlength=16) for row in flat[..., i] // 16]) for i in range(3)]
    colours = np.stack([np.bincount(row, minlength=64) for row in flat // 64 @ [16, 4, 1]])
    return np.column_stack([np.sqrt(np.column_stack([*levels, colours]) / flat.shape[1]), np.ones(len(images))])


# --- lesion -----------------------------------------------------------------------------------------------------------


def test_the_label_of_a_lesion_changes_nothing_outside_its_mask():
    ids = [i for i in range(60) if lesion.label_of(0, "train", i)]
    for image_id, mask in zip(ids, lesion.masks(0, "train", ids, 32), strict=True):
        normal, nest = (lesion.draw_labelled(0, "train", image_id, 32, label) for label in (0, 1))
        differs = (normal != nest).any(axis=-1)
        assert not differs[mask == 0].any()
        assert differs[mask > 0].mean() > 0.7


def test_masks_are_empty_for_normal_tissue_and_one_blob_of_varied_size_for_lesions():
    masks = lesion.masks(0, "test", range(200), 32)
    labels = np.array([lesion.label_of(0, "test", i) for i in range(200)])
    assert (masks.dtype, masks.shape, set(np.unique(masks))) == (np.uint8, (200, 32, 32), {0, 255})
    areas = (masks > 0).mean(axis=(1, 2))
    assert (areas[labels == 0] == 0).all()
    assert areas[labels == 1].min() > 0.015
    assert areas[labels == 1].max() < 0.4
    assert np.quantile(areas[labels == 1], 0.9) > 3 * np.quantile(areas[labels == 1], 0.1)
    assert all(connected(mask)[1] == 1 for mask in masks[labels == 1])


def test_masks_of_two_sizes_show_the_same_nest():
    fine, coarse = (lesion.masks(0, "test", range(40), size) > 0 for size in (96, 32))
    shrunk = fine.reshape(40, 32, 3, 32, 3).mean(axis=(2, 4))
    assert not (shrunk > 0.5)[~coarse].any()
    assert coarse.sum() < 1.35 * shrunk.sum()


def test_a_lesion_s_mask_and_area_stand_with_the_stack(tmp_path):
    spec = ImagesSpec(images={"source": "phantom", "task": "lesion", "size": 32}, split="test", count=300, seed=5)
    prepare_images(spec, "code", Inputs({}), tmp_path / "test")
    stack = read_stack(tmp_path / "test")
    assert stack.classes == ["normal", "lesion"]
    assert stack.manifest["facts"]["counts"] == {"normal": 150, "lesion": 150}
    assert np.array_equal(stack.masks, lesion.masks(5, "test", range(300), 32))
    assert np.allclose(stack.table["area"], (stack.masks > 0).mean(axis=(1, 2)))
    assert ((stack.table["area"] > 0) == (stack.labels == 1)).all()


def test_a_stack_of_another_task_has_no_masks(tmp_path):
    spec = ImagesSpec(images={"source": "phantom", "task": "tissue", "size": 32}, split="test", count=18, seed=5)
    prepare_images(spec, "code", Inputs({}), tmp_path / "test")
    stack = read_stack(tmp_path / "test")
    assert stack.masks is None
    assert "area" not in stack.table
    assert list(stack.manifest["facts"]["counts"].values()) == [2] * 9
