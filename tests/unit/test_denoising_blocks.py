"""Denoising blocks: each operation against its definition, what a new block does, and where blocks stand."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from assay.data.prepare import prepare_images
from assay.files import AssayError
from assay.inputs import Inputs
from assay.networks.blocks import operations
from assay.networks.blocks.denoising import DenoisingBlock
from assay.networks.classifier import build_classifier, load_classifier
from assay.networks.importing import import_classifier
from assay.networks.measure import measure
from assay.networks.published_classifier import from_feature_denoising
from assay.networks.trial import trial
from assay.planning.networks import describe
from assay.study.blocks import WEIGHTED, Denoise
from assay.study.classifiers import Classifier, ClassifierSpec, PublishedClassifier, PublishedClassifierSpec
from assay.study.images import ImagesSpec
from assay.study.networks import Network
from assay.training.classifier import train_classifier

CPU = torch.device("cpu")
OPERATIONS = (*WEIGHTED, "mean", "median", "null")
SMALL = {"network": "timm/resnet18", "arguments": {"layers": [2, 1, 1, 1], "channels": [4, 8, 8, 8]}}


def maps(*shape: int) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(*shape, dtype=torch.float64)


def features() -> tuple[Tensor, Tensor, Tensor]:
    """Features x of 6 channels with embeddings theta and phi of 4, on 3 by 5 places."""
    return maps(2, 6, 3, 5), *maps(2, 2, 4, 3, 5).unbind(0)


def by_definition(x: Tensor, theta: Tensor, phi: Tensor, softmax: bool, window: int | None) -> Tensor:
    """The paper's weighted mean, place by place: over all places, or over those of a window inside the map."""
    out = torch.zeros_like(x)
    height, width = x.shape[2:]
    for row in range(height):
        for column in range(width):
            near = [
                (r, c)
                for r in range(height)
                for c in range(width)
                if window is None or max(abs(r - row), abs(c - column)) <= window // 2
            ]
            rows, columns = (torch.tensor(places) for places in zip(*near, strict=True))
            products = (theta[:, :, row, column, None] * phi[:, :, rows, columns]).sum(1)
            weights = (products / math.sqrt(theta.shape[1])).softmax(-1) if softmax else products / len(near)
            out[:, :, row, column] = (weights[:, None] * x[:, :, rows, columns]).sum(-1)
    return out


@pytest.mark.parametrize("name", WEIGHTED)
def test_weighted_means_are_those_of_the_definition(name: str) -> None:
    window = 3 if name.startswith("bilateral") else None
    expected = by_definition(*features(), softmax=name.endswith("gaussian"), window=window)
    assert torch.allclose(getattr(operations, name)(*features()), expected, atol=1e-12)


def test_the_gaussian_mean_is_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = operations.non_local_gaussian(*features())
    monkeypatch.setattr(operations, "MOST_WEIGHTS", 4 * 2 * 15)  # four of the fifteen places at a time
    assert torch.allclose(operations.non_local_gaussian(*features()), whole, atol=1e-14)


@pytest.mark.parametrize("shape", [(6, 3, 5), (40, 3, 5)])
def test_the_dot_product_is_the_same_in_both_orders(shape: tuple[int, int, int]) -> None:
    x = maps(2, *shape)
    rows = x.flatten(2)
    by_places = torch.einsum("nip,niq,njq->njp", rows, rows, rows).reshape(x.shape) / rows.shape[2]
    assert torch.allclose(operations.non_local_dot_product(x, x, x), by_places, atol=1e-10)


def test_the_dot_product_takes_the_cheaper_order() -> None:
    def multiply_adds(channels: int, side: int) -> int:
        with torch.utils.flop_counter.FlopCounterMode(display=False) as counter:
            operations.non_local_dot_product(*[torch.zeros(1, channels, side, side)] * 3)
        return counter.get_total_flops() // 2

    assert multiply_adds(8, 4) == 2 * 8 * 8 * 16  # channels by channels first
    assert multiply_adds(64, 4) == 2 * 64 * 16 * 16  # places by places first


def test_the_mean_leaves_out_what_lies_beyond_the_edge() -> None:
    x, kernel = maps(2, 3, 4, 5), np.ones((1, 1, 3, 3))
    sums, counts = (scipy.ndimage.convolve(v, kernel, mode="constant") for v in (x.numpy(), np.ones(x.shape)))
    assert np.allclose(operations.mean(x).numpy(), sums / counts)


def test_the_median_is_scipys() -> None:
    x = maps(2, 3, 4, 5)
    expected = scipy.ndimage.median_filter(x.numpy(), (1, 1, 3, 3), mode="nearest")
    assert np.array_equal(operations.median(x).numpy(), expected)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if not name.endswith("dot_product")])
def test_a_constant_map_stays_as_it_is(name: str) -> None:
    x = maps(1, 6, 1, 1).expand(2, 6, 3, 4)
    embedded = [x, x] if name in WEIGHTED else []
    assert torch.allclose(getattr(operations, name)(x, *embedded), x, atol=1e-14)


@pytest.mark.parametrize("name", ["non_local_dot_product", "bilateral_dot_product"])
def test_the_dot_product_of_a_constant_v_is_v_by_its_squared_length(name: str) -> None:
    v = maps(1, 6, 1, 1)
    x = v.expand(2, 6, 3, 4)
    assert torch.allclose(getattr(operations, name)(x, x, x), (v**2).sum() * x, atol=1e-12)


@pytest.mark.parametrize("name", OPERATIONS)
def test_one_place_is_enough(name: str) -> None:
    x = maps(2, 6, 1, 1)
    found = getattr(operations, name)(x, *([x, x] if name in WEIGHTED else []))
    expected = (x**2).sum(1, keepdim=True) * x if name.endswith("dot_product") else x
    assert torch.allclose(found, expected, atol=1e-12)


BLOCKS = [*({"operation": name} for name in OPERATIONS), {"operation": "non_local_dot_product", "embed": True}]


def active(**keys: object) -> DenoisingBlock:
    """A block in float64 whose normalisation lets through what was denoised."""
    torch.manual_seed(0)
    block = DenoisingBlock(Denoise(**keys), 4).double()
    nn.init.constant_(block.norm.weight, 0.7)
    return block


@pytest.mark.parametrize("keys", BLOCKS)
@pytest.mark.parametrize("parts", [False, True])
def test_gradients_are_finite_differences(keys: dict, parts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if parts:
        monkeypatch.setattr(operations, "MOST_WEIGHTS", 60)
    block, x = active(**keys), maps(2, 4, 3, 3).requires_grad_()
    weights = list(block.parameters())
    assert torch.autograd.gradcheck(lambda x, *weights: block(x), (x, *weights))


def test_a_gaussian_block_can_be_differentiated_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MOST_WEIGHTS", 40)
    block = active(operation="non_local_gaussian")
    assert torch.autograd.gradgradcheck(block, maps(1, 4, 2, 3).requires_grad_())


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("projection", [True, False])
def test_a_new_block_is_the_identity_bit_for_bit(name: str, projection: bool) -> None:
    block, x = DenoisingBlock(Denoise(operation=name, projection=projection), 6), maps(2, 6, 4, 4).float()
    for training in (True, False):
        assert torch.equal(block.train(training)(x), x)


def test_without_the_residual_a_block_passes_on_what_it_denoised() -> None:
    keys = {"operation": "mean", "residual": False}
    x = maps(2, 6, 4, 4).float()
    bare = DenoisingBlock(Denoise(projection=False, **keys), 6).eval()
    assert torch.allclose(bare(x), operations.mean(x) / math.sqrt(1 + bare.norm.eps))
    whole = DenoisingBlock(Denoise(**keys), 6).eval()
    assert torch.allclose(whole(x), functional.conv2d(bare(x), whole.projection.weight), atol=1e-6)


def test_embeddings_are_the_papers_choice_unless_the_config_says() -> None:
    def embedded(**keys: object) -> bool:
        return isinstance(DenoisingBlock(Denoise(**keys), 6).theta, nn.Conv2d)

    assert [embedded(operation=name) for name in WEIGHTED] == [True, True, False, False]
    assert embedded(operation="non_local_dot_product", embed=True)
    assert not embedded(operation="non_local_gaussian", embed=False)


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation gives."""

    values = 0

    def __torch_dispatch__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        out = func(*args, **(kwargs or {}))
        given = out if isinstance(out, tuple | list) else [out]
        self.values = max([self.values, *(value.numel() for value in given if torch.is_tensor(value))])
        return out


def test_the_weights_of_a_whole_batch_are_never_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MOST_WEIGHTS", 10_000)
    x = torch.rand(4, 2, 16, 16, requires_grad=True)
    with Largest() as largest:
        operations.non_local_gaussian(x, x, x).sum().backward()
    assert x.numel() < largest.values <= 10_000 < 4 * 256**2


# in networks


def blocks_of(network: nn.Module) -> list[str]:
    return [name.removeprefix("network.") for name, part in network.named_modules() if isinstance(part, DenoisingBlock)]


def build(operation: str = "mean", after: object = "stages", **network: object) -> nn.Module:
    torch.manual_seed(0)
    return build_classifier(Network(**SMALL | network, denoise={"operation": operation, "after": after}), 3)


@pytest.mark.parametrize("operation", ["non_local_gaussian", "median"])
def test_a_new_network_with_blocks_is_the_one_without(operation: str) -> None:
    torch.manual_seed(0)
    plain = build_classifier(Network(**SMALL), 3)
    denoised, images = build(operation), torch.rand(2, 3, 32, 32)
    for training in (False, True):
        assert torch.equal(plain.train(training)(images), denoised.train(training)(images))
    assert plain.state_dict().keys() < denoised.state_dict().keys()


@pytest.mark.parametrize(
    ("after", "places"),
    [
        ("stages", ["layer1.1", "layer2.0", "layer3.0", "layer4.0"]),
        ("blocks", ["layer1.0", "layer1.1", "layer2.0", "layer3.0", "layer4.0"]),
        (["layer1", "layer3"], ["layer1.1", "layer3.0"]),
        (["layer1.0", "stages", "layer1"], ["layer1.0", "layer1.1", "layer2.0", "layer3.0", "layer4.0"]),
        ("layer1.0.conv2", ["layer1.0.conv2"]),
    ],
)
def test_blocks_stand_where_the_config_says(after: object, places: list[str]) -> None:
    assert blocks_of(build(after=after)) == [f"{place}.denoise" for place in places]


@pytest.mark.parametrize(
    "network", ["torchvision/resnet18", "timm/resnetv2_50", "timm/regnety_002", "torchvision/regnet_y_400mf"]
)
def test_residual_networks_of_both_libraries_have_stages(network: str) -> None:
    denoised = build(network=network, arguments={})
    names = blocks_of(denoised)
    assert len(names) == 4
    block = denoised.network.get_submodule(names[0])
    with torch.no_grad():
        block.norm.weight.fill_(1)
        images = torch.rand(1, 3, 64, 64)
        before = denoised.eval()(images)
        block.norm.weight.fill_(2)
        assert not torch.equal(denoised(images), before)


@pytest.mark.parametrize(
    ("network", "after", "fault"),
    [
        ({}, "layer5", "has no part layer5; its stages are layer1, layer2, layer3, layer4; correct denoise.after"),
        ({}, "fc", "has no feature maps (n, c, h, w) after fc; correct denoise.after"),
        ({"network": "torchvision/alexnet", "arguments": {}}, "stages", "has no stages of residual blocks that Assay"),
    ],
)
def test_places_that_are_not_there_are_one_line_when_planning(network: dict, after: str, fault: str) -> None:
    keys = SMALL | network | {"denoise": {"operation": "mean", "after": [after]}}
    described = {"kind": "classifier", "network": keys, "side": 64, "classes": 2, "trained": True}
    assert fault in trial(described)
    assert "\n" not in trial(described)


def test_planning_counts_the_multiply_adds_of_blocks() -> None:
    """Two embeddings to c / 2 channels and a projection: 2 c^2 p in all; weights and means of p places: 1.5 c p^2."""
    plain, denoised = (
        measure(describe(Classifier(**SMALL, denoise=denoise), 32, 2))
        for denoise in (None, {"operation": "non_local_gaussian", "after": ["layer1"]})
    )
    channels, places = 4, 8**2
    more = denoised["multiply_adds"] - plain["multiply_adds"]
    assert more == 2 * channels**2 * places + 1.5 * channels * places**2
    assert denoised["parameters"] - plain["parameters"] == 2 * channels**2 + 2 * channels


def test_a_config_without_blocks_has_the_spec_that_it_had() -> None:
    assert not {"denoise", "same_padding"} & ClassifierSpec(classifier=SMALL, seed=0).model_dump()["classifier"].keys()
    spec = ClassifierSpec(classifier=SMALL | {"denoise": {"operation": None}}, seed=0)
    assert spec.model_dump()["classifier"]["denoise"]["operation"] == "null"


def test_only_what_compares_places_is_embedded() -> None:
    with pytest.raises(ValueError, match="embed: median compares no places; remove embed"):
        Denoise(operation="median", embed=True)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for split, count in (("train", 32), ("validation", 16)):
        spec = ImagesSpec(images={"source": "phantom", "size": 16}, split=split, count=count, seed=0)
        prepare_images(spec, "", Inputs({}), folder / split)
    return folder


def test_blocks_are_trained_saved_and_loaded_with_their_classifier(images: Path, tmp_path: Path) -> None:
    keys = SMALL | {"denoise": {"operation": "non_local_gaussian"}, "small_stem": True, "epochs": 2, "batch_size": 16}
    inputs = Inputs({"train": images / "train", "validation": images / "validation"})
    train_classifier(ClassifierSpec(classifier=keys, seed=0), "code", inputs, tmp_path / "net", 1)
    loaded = load_classifier(tmp_path / "net", CPU)
    scales = [loaded.get_submodule(f"network.{name}").norm.weight for name in blocks_of(loaded)]
    assert len(scales) == 4
    assert all(scale.abs().max() > 0 for scale in scales), "the blocks have learned nothing"


# Xie et al.'s networks, as TREMBA converted them


def tremba(inside: bool, embed: bool) -> dict[str, Tensor]:
    """A state dict in TREMBA's layout, of a ResNet-18 with random weights; blocks close each stage or stand inside."""
    torch.manual_seed(0)
    network = build_classifier(Network(network="torchvision/resnet18"), 2).network.double()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if "bn" in name or "downsample.1" in name:
                value.copy_(0.5 + torch.rand_like(value, dtype=torch.float64))
    state = dict(network.state_dict())
    for stage, channels in enumerate((64, 128, 256, 512), start=1):
        for place in [f"layer{stage}.{number}.denoise" for number in (0, 1)] if inside else [f"layer{stage}.2"]:
            if embed:
                for name in ("conv_theta", "conv_phi"):
                    state[f"{place}.{name}.weight"] = 0.05 * torch.randn(channels // 2, channels, 1, 1).double()
            state[f"{place}.conv.weight"] = torch.randn(channels, channels, 1, 1).double() / channels**0.5
            for name, low in (
                ("weight", 0.05 if embed else 1e-4),
                ("bias", 0.1),
                ("running_mean", 0.1),
                ("running_var", 1.0),
            ):
                state[f"{place}.bn.{name}"] = low * (1 + torch.rand(channels).double())
            state[f"{place}.bn.num_batches_tracked"] = torch.tensor(1)
    return state


def original(state: dict[str, Tensor], x: Tensor, inside: bool, embed: bool, same: bool = False) -> Tensor:
    """The original definition's logits of images x in [0,1], in plain operations on TREMBA's state dict.

    `same` pads as TensorFlow did, where stride is 2.
    """

    def norm(name: str, x: Tensor) -> Tensor:
        keys = ("running_mean", "running_var", "weight", "bias")
        return functional.batch_norm(x, *(state[f"{name}.{key}"] for key in keys))

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        size = weight.shape[-1]
        padding = size // 2
        if same and stride == 2 and size > 1:  # of an even side one line less before than after
            x, padding = functional.pad(x, [size // 2 - 1, size // 2] * 2), 0
        return functional.conv2d(x, weight, stride=stride, padding=padding)

    def denoise(name: str, x: Tensor) -> Tensor:
        theta, phi = (conv(f"{name}.conv_{part}", x) if embed else x for part in ("theta", "phi"))
        f = torch.einsum("niab,nicd->nabcd", theta, phi)
        if embed:
            f = (f.flatten(3).flatten(1, 2) / theta.shape[1] ** 0.5).softmax(-1).reshape(f.shape)
        y = torch.einsum("nabcd,nicd->niab", f, x)
        if not embed:
            y = y / (x.shape[2] * x.shape[3])
        return x + norm(f"{name}.bn", conv(f"{name}.conv", y))

    x = (2 * x - 1)[:, [2, 1, 0]]
    x = functional.relu(norm("bn1", conv("conv1", x, 2)))
    x = functional.max_pool2d(functional.pad(x, [0, 1, 0, 1]), 3, 2) if same else functional.max_pool2d(x, 3, 2, 1)
    for stage in (1, 2, 3, 4):
        for number in (0, 1):
            name, stride = f"layer{stage}.{number}", 2 if stage > 1 and number == 0 else 1
            y = functional.relu(norm(f"{name}.bn1", conv(f"{name}.conv1", x, stride)))
            y = norm(f"{name}.bn2", conv(f"{name}.conv2", y))
            shorter = f"{name}.downsample.0.weight" in state
            short = norm(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, stride)) if shorter else x
            x = functional.relu(y + short)
            x = denoise(f"{name}.denoise", x) if inside else x
        x = x if inside else denoise(f"layer{stage}.2", x)
    return functional.linear(x.mean((2, 3)), state["fc.weight"], state["fc.bias"])


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize(
    ("inside", "operation", "after"),
    [(False, "non_local_gaussian", "stages"), (True, "non_local_dot_product", "blocks")],
)
def test_published_weights_give_the_values_of_the_original_definition(
    inside: bool, operation: str, after: str, same: bool
) -> None:
    state = tremba(inside, embed=not inside)
    keys = {"network": "torchvision/resnet18", "mean": (0.5,) * 3, "std": (0.5,) * 3, "same_padding": same}
    ours = build_classifier(Network(**keys, denoise={"operation": operation, "after": after}), 2).double().eval()
    ours.network.load_state_dict(from_feature_denoising(state))
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    with torch.inference_mode():
        expected = original(state, images, inside, not inside, same)
        assert torch.allclose(ours(images), expected, rtol=1e-9)
        assert not torch.allclose(original(state, images, inside, not inside, not same), expected, rtol=1e-3)


def test_published_weights_are_imported(images: Path, tmp_path: Path) -> None:
    state = {name: value.float() if value.is_floating_point() else value for name, value in tremba(False, True).items()}
    torch.save(state, tmp_path / "net.pytorch")
    keys = {
        "published": str(tmp_path / "net.pytorch"),
        "layout": "feature_denoising",
        "network": "torchvision/resnet18",
        "denoise": {"operation": "non_local_gaussian"},
    }
    inputs = Inputs({"validation": images / "validation"})
    import_classifier(PublishedClassifierSpec(classifier=keys), "code", inputs, tmp_path / "out", 1)
    shown = torch.rand(2, 3, 32, 32)
    expected = original(tremba(False, True), shown.double(), False, True)
    with torch.inference_mode():
        assert torch.allclose(load_classifier(tmp_path / "out", CPU)(shown).double(), expected, rtol=1e-3, atol=1e-4)
    spec = PublishedClassifierSpec(classifier=keys | {"denoise": None})
    with pytest.raises(AssayError, match=r"not those of torchvision/resnet18: it has left over layer1.1.denoise"):
        import_classifier(spec, "code", inputs, tmp_path / "plain", 1)


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"layout": "feature_denoising"}, "network: missing; layout feature_denoising needs its network"),
        (
            {"layout": "feature_denoising", "network": "torchvision/alexnet"},
            "network: torchvision/alexnet is no ResNet",
        ),
        ({"layout": "timm", "denoise": {"operation": "mean"}}, "denoise: is of layout feature_denoising only"),
    ],
)
def test_keys_of_published_blocks_must_fit(keys: dict, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        PublishedClassifier(published="hf-hub:a/b", **keys)
