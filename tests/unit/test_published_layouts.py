"""Published classifiers beside timm and TIAToolbox, and networks that see images as they were published with."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from assay.data.index import index_images
from assay.data.prepare import prepare_images
from assay.files import AssayError
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.networks.classifier import build_classifier, load_classifier
from assay.networks.importing import import_classifier
from assay.networks.libraries import import_library
from assay.networks.measure import measure
from assay.networks.published import read_weights
from assay.planning.networks import describe
from assay.stacks import read_stack
from assay.study.classifiers import Network, PublishedClassifier, PublishedClassifierSpec
from assay.study.images import ImagesSpec, IndexSpec
from originals.planted import images, planted
from small_sets import CIFAR10, CIFAR100, cifar10_files, cifar100_files, noise, photographs, sha256, tar_of

CPU = torch.device("cpu")
ORIGINALS = json.loads((Path(__file__).parents[1] / "originals/values.json").read_text())
CIFAR = {10: ("cifar10", CIFAR10, cifar10_files), 100: ("cifar100", CIFAR100, cifar100_files)}


def validation_of(root: Path, classes: int) -> Path:
    """A stack of validation images of CIFAR-10 or CIFAR-100."""
    source, archive, files = CIFAR[classes]
    data = root / source
    data.mkdir(parents=True)
    (data / archive).write_bytes(tar_of(files(noise(classes, classes, 0), noise(2 * classes, classes, 1))))
    keys = {"source": source, "sha256": {archive: sha256(data / archive)}}
    return prepared(root, data, keys, classes)


def prepared(root: Path, data: Path, keys: dict, count: int) -> Path:
    index_images(IndexSpec(images=keys), "", data, root / "index")
    spec = ImagesSpec(images=keys, split="validation", count=count, seed=0)
    prepare_images(spec, "", Inputs({"index": root / "index"}), root / "validation", data)
    return root / "validation"


def imported(validation: Path, **keys: object) -> nn.Module:
    out = validation.with_name("classifier")
    import_classifier(PublishedClassifierSpec(classifier=keys), "code", Inputs({"validation": validation}), out, 1)
    return load_classifier(out, CPU)


def values(rows: list[str]) -> Tensor:
    return torch.tensor([[float(value) for value in row.split()] for row in rows])


# RobustBench


@pytest.mark.parametrize("name", ORIGINALS["robustbench"]["networks"])
@pytest.mark.parametrize("prefix", ["", "module.", "module.model."])
def test_robustbench_s_weights_give_what_its_own_code_gives(name: str, prefix: str, tmp_path: Path) -> None:
    original = ORIGINALS["robustbench"]["networks"][name]
    state = {prefix + each: value for each, value in planted(original["shapes"]).items()}
    torch.save({"state_dict": state, "epoch": 3} if prefix else state, tmp_path / "net.pt")
    logits = values(original["logits"])
    model = imported(
        validation_of(tmp_path, logits.shape[1]),
        published=str(tmp_path / "net.pt"),
        layout="robustbench",
        network=f"assay/{name}",
    )
    with torch.inference_mode():
        assert torch.allclose(model(images(2, 32)), logits, atol=1e-4, rtol=1e-4)


def test_what_a_robustbench_network_normalises_by_is_taken_from_its_buffers_unless_the_config_says_otherwise(
    tmp_path: Path,
) -> None:
    original = ORIGINALS["robustbench"]["networks"]["wide_resnet_16_2"]
    mean, std = (0.4, 0.5, 0.6), (0.25, 0.5, 0.2)
    buffers = {"mu": torch.tensor(mean).view(1, 3, 1, 1), "sigma": torch.tensor(std).view(1, 3, 1, 1)}
    torch.save(planted(original["shapes"]) | buffers, tmp_path / "net.pt")
    keys = {"published": str(tmp_path / "net.pt"), "layout": "robustbench", "network": "assay/wide_resnet_16_2"}
    validation = validation_of(tmp_path, 10)
    shown, expected = images(2, 32), values(original["logits"])
    seen = shown * buffers["sigma"] + buffers["mu"]
    with torch.inference_mode():
        assert torch.allclose(imported(validation, **keys)(seen), expected, atol=1e-4, rtol=1e-4)
        plain = imported(validation, **keys, mean=(0, 0, 0), std=(1, 1, 1))
        assert torch.allclose(plain(shown), expected, atol=1e-4, rtol=1e-4)


def test_a_file_of_another_network_is_one_line(tmp_path: Path) -> None:
    original = ORIGINALS["robustbench"]["networks"]["wide_resnet_16_2"]
    torch.save(planted(original["shapes"]), tmp_path / "net.pt")
    keys = {"published": str(tmp_path / "net.pt"), "layout": "robustbench", "network": "assay/wide_resnet_10_2"}
    validation = validation_of(tmp_path, 10)
    with pytest.raises(AssayError, match=r"its weights are not those of assay/wide_resnet_10_2: it has left over"):
        imported(validation, **keys)
    torch.save({"state_dict": {"conv1.weight": torch.zeros(1, 3, 3, 3)}}, tmp_path / "net.pt")
    with pytest.raises(AssayError, match=r"net.pt: has no linear layer, as a classifier's state dict has"):
        imported(validation, **keys)


def test_a_checkpoint_with_more_than_tensors_in_its_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1), "b": "text"}}, tmp_path / "net.pt")
    with pytest.raises(AssayError, match="holds no state dict of plain tensors"):
        read_weights(tmp_path / "net.pt")


def test_wide_resnets_have_their_published_sizes() -> None:
    """36.5 million parameters of WRN-28-10 (Zagoruyko and Komodakis 2016, table 4)."""
    with torch.device("meta"):
        network = build_classifier(Network(network="assay/wide_resnet_28_10"), 10)
    assert round(sum(each.numel() for each in network.parameters()) / 1e6, 1) == 36.5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("assay/resnet", "should match pattern"),
        ("assay/wide_resnet_27_10", "has no depth of 10, 16, 22"),
        ("assay/wide_resnet_4_10", "has no depth of 10, 16, 22"),
        ("assay/wide_resnet_28_0", "or no width"),
    ],
)
def test_a_wide_resnet_without_such_a_depth_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Network(network=name)


# torchvision


def test_torchvision_s_own_weights_are_normalised_as_theirs_are(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = import_library("torchvision").models.resnet18(num_classes=10).eval()
    torch.save(network.state_dict(), tmp_path / "resnet18-f37072fd.pth")
    model = imported(
        validation_of(tmp_path, 10),
        published=str(tmp_path / "resnet18-f37072fd.pth"),
        layout="torchvision",
        network="torchvision/resnet18",
    )
    normalise = import_library("torchvision.transforms.v2").Normalize(
        import_library("torchvision").models.ResNet18_Weights.DEFAULT.transforms().mean,
        import_library("torchvision").models.ResNet18_Weights.DEFAULT.transforms().std,
    )
    with torch.inference_mode():
        assert torch.allclose(model(images(2, 32)), network(normalise(images(2, 32))), atol=1e-4)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"layout": "robustbench"}, "network: missing; layout robustbench needs its network, such as assay/wide_res"),
        ({"layout": "torchvision"}, "network: missing; layout torchvision needs its network, such as torchvision/re"),
        ({"layout": "torchvision", "network": "timm/resnet18"}, "network: timm/resnet18 is not of torchvision/NAME;"),
        ({"layout": "timm", "network": "assay/wide_resnet_28_10"}, "network: layout timm is of timm's networks"),
    ],
)
def test_a_layout_needs_a_network_of_its_library(keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PublishedClassifier(published="net.pth", **keys)


# the size that a network sees


def test_images_are_resized_inside_the_module_with_a_gradient() -> None:
    torch.manual_seed(0)
    keys = {"network": "timm/resnet18", "arguments": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}}
    model = build_classifier(Network(**keys, input_size=48), 3).eval()
    one, other = (images(2, 32).requires_grad_() for _ in range(2))
    logits = model(one)
    resized = F.interpolate(other, (48, 48), mode="bicubic", antialias=True)
    expected = model.network((resized - model.mean) / model.std)
    assert torch.allclose(logits, expected, atol=1e-5)
    for found in (logits, expected):
        found[:, 1].sum().backward()
    assert one.grad.abs().max() > 0
    assert torch.allclose(one.grad, other.grad, atol=1e-6)


def test_a_network_that_sees_larger_images_costs_more_and_one_without_the_key_has_the_spec_that_it_had() -> None:
    plain, larger = Network(network="timm/resnet18"), Network(network="timm/resnet18", input_size=64)
    assert "input_size" not in plain.model_dump()
    sizes = [measure(describe(network, 32, 10)) for network in (plain, larger)]
    assert sizes[1]["multiply_adds"] > 3.5 * sizes[0]["multiply_adds"]
    assert sizes[0] == measure(describe(plain, 32, 10))


def test_cbam_is_in_every_bottleneck_of_a_resnet50_and_a_small_coatnet_sees_small_images() -> None:
    cbam = Network(network="timm/resnet50", arguments={"block_args": {"attn_layer": "cbam"}}, small_stem=True)
    with torch.device("meta"):
        network = build_classifier(cbam, 10).network
    kinds = [type(module).__name__ for module in network.modules()]
    assert kinds.count("CbamModule") == kinds.count("Bottleneck") == 16
    assert network.conv1.stride == (1, 1)
    arguments = {"img_size": 64, "stem_width": 8, "embed_dim": [8, 16, 32], "depths": [1, 1, 1]}
    arguments |= {"block_type": ["C", "T", "T"], "transformer_dim_head": 8}
    coatnet = build_classifier(Network(network="timm/coatnet_nano_rw_224", arguments=arguments, small_stem=True), 9)
    x = images(2, 32).requires_grad_()
    logits = coatnet(x)
    assert logits.shape == (2, 9)
    assert torch.autograd.grad(logits[:, 0].sum(), x)[0].abs().sum() > 0


# published preprocessing

COATNET = {
    "architecture": "coatnet_nano_rw_224",
    "num_classes": 2,
    "model_args": {
        "img_size": 32,
        "stem_width": 8,
        "embed_dim": [8, 16],
        "depths": [1, 1],
        "block_type": ["C", "T"],
        "transformer_dim_head": 8,
    },
    "pretrained_cfg": {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "input_size": [3, 32, 32],
        "crop_pct": 1.0,
        "crop_mode": "squash",
        "interpolation": "bicubic",
        "fixed_input_size": True,
    },
}
CROPPED = COATNET["pretrained_cfg"] | {"crop_pct": 0.9, "crop_mode": "center", "interpolation": "bilinear"}


def write_coatnet(folder: Path, pretrained: dict) -> nn.Module:
    torch.manual_seed(0)
    arguments = COATNET["model_args"]
    network = import_library("timm").create_model("coatnet_nano_rw_224", num_classes=2, **arguments).eval()
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(COATNET | {"pretrained_cfg": pretrained}))
    save_file(network.state_dict(), folder / "model.safetensors")
    return network


def write_folders(folder: Path) -> dict[str, bytes]:
    """Photographs in two class folders; their bytes by path."""
    files = {f"{'ab'[number % 2]}/{number}.jpg": content for number, content in enumerate(photographs(12))}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return files


@pytest.mark.parametrize(
    ("pretrained", "preprocess"),
    [
        (COATNET["pretrained_cfg"], {"mode": "squash"}),
        (CROPPED, {"mode": "crop", "resize": 35, "interpolation": "bilinear"}),
    ],
)
def test_stored_images_give_the_logits_of_the_originals_through_timm_s_own_transform(
    tmp_path: Path, pretrained: dict, preprocess: dict
) -> None:
    network, files = write_coatnet(tmp_path / "published", pretrained), write_folders(tmp_path / "data")
    keys = {"source": "folder", "size": 32, "preprocess": preprocess}
    validation = prepared(tmp_path, tmp_path / "data", keys, 8)
    model = imported(validation, published=str(tmp_path / "published"), layout="timm")
    data = import_library("timm.data")
    given = {key: pretrained[key] for key in ("mean", "std", "crop_pct", "crop_mode", "interpolation")}
    transform = data.create_transform((3, 32, 32), is_training=False, **given)
    stack = read_stack(validation)
    originals = [Image.open(io.BytesIO(files[name])).convert("RGB") for name in stack.ids]
    with torch.inference_mode():
        expected = network(torch.stack([transform(image) for image in originals]))
        assert torch.allclose(model(torch.from_numpy(stack.pixels())), expected, atol=1e-5)
    warnings = read_manifest(tmp_path / "classifier")["facts"]["warnings"]
    assert not any("preprocess" in warning or "pixels" in warning for warning in warnings)


def test_preprocessing_other_than_the_published_is_told_with_what_to_write(tmp_path: Path) -> None:
    write_coatnet(tmp_path / "published", CROPPED)
    write_folders(tmp_path / "data")
    validation = prepared(tmp_path, tmp_path / "data", {"source": "folder", "size": 32}, 8)
    imported(validation, published=str(tmp_path / "published"), layout="timm")
    assert (
        "published with other preprocessing of image files; write images.preprocess: "
        "{mode: crop, resize: 35, interpolation: bilinear}"
    ) in read_manifest(tmp_path / "classifier")["facts"]["warnings"]


def test_images_of_another_size_than_a_network_s_own_are_resized_if_the_config_says_so(tmp_path: Path) -> None:
    write_coatnet(tmp_path / "published", COATNET["pretrained_cfg"])
    write_folders(tmp_path / "data")
    validation = prepared(tmp_path, tmp_path / "data", {"source": "folder", "size": 24}, 8)
    keys = {"published": str(tmp_path / "published"), "layout": "timm"}
    with pytest.raises(AssayError, match=r"does not take images of 24 pixels .*or input_size"):
        imported(validation, **keys)
    model = imported(validation, **keys, input_size=32)
    stack = read_stack(validation)
    with torch.inference_mode():
        logits = model(torch.from_numpy(stack.pixels()))
    assert logits.shape == (8, 2)
    assert np.isfinite(logits.numpy()).all()
