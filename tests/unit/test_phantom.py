import hashlib

import numpy as np
import pytest

from assay.data.phantom import tumour
from assay.data.phantom.chance import generator
from assay.data.phantom.field import pixel_centres
from assay.data.phantom.nuclei import draw_cells
from assay.data.phantom.task import SPLITS
from assay.data.phantom.tumour import generate


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
        image.tobytes()
        for seed in (0, 1)
        for split in SPLITS
        for image in generate(seed, split, range(4), 32)[0]
    ]
    assert len(set(patches)) == len(patches)


# Images and labels as they were before there were other tasks. Everything is computed in double precision and rounded
# to 8 bits; what lies near a rounding boundary is too far from it for the last digits of a machine's exp to show.
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
