"""The sizes of networks: measured once on shapes alone, kept with the study, and honest where they cannot be."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from assay.files import write_json
from assay.networks.classifier import build_classifier
from assay.networks.measure import measure
from assay.networks.unet import build_network
from assay.planning import networks
from assay.planning.costs import TO_IMAGE, TO_WEIGHTS
from assay.planning.networks import USUAL, NetworkSizes, describe
from assay.study.classifiers import Classifier, Network, PublishedClassifier, PythonClassifier
from assay.study.diffusions import Diffusion, PublishedDiffusion

SIDE = 32
RESNET = Classifier(network="timm/resnet18", arguments={"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]})
UNKNOWN = Classifier(network="timm/no_such_net")
UNET = Diffusion(channels=[8, 16], norm_groups=8, layers_per_block=1, steps=1)


def by_hand(network, images, *more):
    """The multiply-adds of a network's convolutions and linear layers, by arithmetic on what goes through them."""
    counted = []

    def note(module, inputs, output):
        places = output.shape[-2] * output.shape[-1] if isinstance(module, nn.Conv2d) else 1
        counted.append(module.weight.numel() * places)

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(note)
    network(images, *more)
    return sum(counted)


@pytest.mark.parametrize(
    "keys",
    [
        {"channels": [16, 32, 64], "norm_groups": 8, "layers_per_block": 1, "middle_attention": False},
        {"channels": [8], "norm_groups": 8, "middle_attention": False},
    ],
)
def test_a_unet_is_measured_as_arithmetic_has_it(keys):
    diffusion = Diffusion(steps=1, **keys)
    network = build_network(diffusion, SIDE)
    found = measure(describe(diffusion, SIDE, 2))
    assert found["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert found["multiply_adds"] == by_hand(network, torch.zeros(1, 3, SIDE, SIDE), 1)


def test_attention_counts_its_products_of_places():
    """Of p places with c channels: four maps of 4 p c^2 in all, and two products of p^2 c."""
    channels, places = 16, SIDE**2
    plain, attending = (
        measure(describe(Diffusion(channels=[channels], norm_groups=8, middle_attention=middle, steps=1), SIDE, 2))
        for middle in (False, True)
    )
    more = attending["multiply_adds"] - plain["multiply_adds"]
    assert more == 4 * places * channels**2 + 2 * places**2 * channels


def test_the_papers_unet_has_its_published_size():
    published = PublishedDiffusion(published="hf-hub:ankile/ddpm-pcam-96-flip", data_range=(0, 1))
    found = measure(describe(published, 96, 2))
    assert found["parameters"] == pytest.approx(113.67e6, abs=0.005e6)
    assert found["multiply_adds"] == 34_910_864_384


def test_a_classifier_is_measured_as_the_literature_has_it():
    found = measure(describe(Classifier(network="torchvision/resnet50"), 224, 2))
    assert found["parameters"] == pytest.approx(23.5e6, rel=0.01)  # 25.6 million with a thousand classes
    assert found["multiply_adds"] == pytest.approx(4.09e9, rel=0.01)


@pytest.mark.parametrize(("weights", "passes"), [(False, TO_IMAGE), (True, TO_WEIGHTS)])
def test_a_gradient_costs_as_many_passes_as_is_counted(weights, passes):
    images = torch.zeros(1, 3, SIDE, SIDE, requires_grad=not weights)
    model = build_classifier(Network(network="timm/resnet18", small_stem=True), 2).eval().requires_grad_(weights)
    counts = []
    for backward in (False, True):
        with FlopCounterMode(display=False) as counter:
            loss = model(images).sum()
            if backward:
                loss.backward()
        counts.append(counter.get_total_flops())
    assert counts[1] / counts[0] == pytest.approx(passes, rel=0.05)  # a stem's gradient is one of the two alone


def test_a_gradient_keeps_what_autograd_saves():
    described = describe(RESNET, SIDE, 2)
    once, twice = (measure(described | {"side": side})["gradient_bytes"] for side in (SIDE, 2 * SIDE))
    assert twice == pytest.approx(4 * once, rel=0.01)
    assert once > 3 * SIDE**2 * 4


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The file of sizes that measuring three networks left, of which one does not exist."""
    sizes = NetworkSizes(tmp_path_factory.mktemp("study") / "sizes.json")
    sizes.measure([describe(network, SIDE, 2) for network in (RESNET, UNET, UNKNOWN)])
    return sizes.file


def test_networks_are_measured_once_and_kept(kept, monkeypatch):
    monkeypatch.setattr(networks.subprocess, "run", lambda *_, **__: pytest.fail("measured again"))
    for again in (NetworkSizes(kept), NetworkSizes(kept.parent / "none.json", [kept])):
        again.measure([describe(network, SIDE, 2) for network in (RESNET, UNET, UNKNOWN)])
        for network in (RESNET, UNET):
            assert again.fault(describe(network, SIDE, 2)) == ""
            assert asdict(again.of(network, SIDE, 2)) == measure(describe(network, SIDE, 2))


def test_another_version_of_a_library_is_measured_anew(tmp_path, monkeypatch):
    described = describe(RESNET, SIDE, 2)
    sizes = NetworkSizes(tmp_path / "sizes.json")
    one = {"parameters": 1, "multiply_adds": 1, "gradient_bytes": 1}
    write_json(tmp_path / "sizes.json", {networks._key(described): {"network": described, "size": one}})
    assert NetworkSizes(tmp_path / "sizes.json").of(RESNET, SIDE, 2).parameters == 1
    monkeypatch.setattr(networks, "_version", lambda library: "another")
    assert NetworkSizes(tmp_path / "sizes.json").of(RESNET, SIDE, 2).parameters == USUAL["classifier"].parameters
    assert sizes.fault(described) == "not measured"


def test_what_cannot_be_measured_is_of_the_usual_size_and_says_why(kept):
    unnamed = PublishedClassifier(published="hf-hub:a/b", layout="timm")
    sizes = NetworkSizes(kept)
    assert "timm/no_such_net cannot be built" in sizes.fault(describe(UNKNOWN, SIDE, 2))
    assert sizes.fault(describe(unnamed, SIDE, 2)) == "its config does not name its network"
    usual = USUAL["classifier"].multiply_adds
    assert sizes.of(UNKNOWN, 96, 2).multiply_adds == usual
    assert sizes.of(unnamed, 192, 2).multiply_adds == 4 * usual


def test_without_torch_planning_goes_on(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "Traceback\nModuleNotFoundError: No module named 'torch'\n")
    monkeypatch.setattr(networks.subprocess, "run", lambda *_, **__: failed)
    sizes = NetworkSizes(tmp_path / "sizes.json")
    sizes.measure([describe(UNET, SIDE, 2)])
    assert sizes.fault(describe(UNET, SIDE, 2)) == "ModuleNotFoundError: No module named 'torch'"
    assert sizes.of(UNET, 96, 2) == USUAL["diffusion"]
    assert not (tmp_path / "sizes.json").exists()


def test_the_usual_sizes_are_those_of_the_networks_that_they_are_said_to_be():
    resnet = measure(describe(Classifier(network="torchvision/resnet50"), 96, 1000))
    unet = measure(describe(PublishedDiffusion(published="hf-hub:ankile/ddpm-pcam-96-flip", data_range=(0, 1)), 96, 2))
    for kind, found in (("classifier", resnet), ("diffusion", unet)):
        for key, value in found.items():
            assert getattr(USUAL[kind], key) == pytest.approx(value, rel=0.02), (kind, key)


def test_a_published_folder_tells_its_network(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "model_args": {"layers": [1] * 4}}))
    described = describe(PublishedClassifier(published=str(tmp_path), layout="timm"), SIDE, 2)
    found = described["network"]
    assert (found["network"], found["arguments"]) == ("timm/resnet18", {"layers": [1] * 4})


def test_a_network_of_ones_own_is_measured_by_its_code(tmp_path):
    text = (
        "from torch import nn\ndef build(spec, classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(3072, {}))\n"
    )
    keys = set()
    for width in (2, 5):
        module = tmp_path / str(width) / "net.py"
        module.parent.mkdir()
        module.write_text(text.format(width))
        described = describe(PythonClassifier(method="python", module=str(module)), SIDE, 2)
        keys.add(described["code"])
        assert measure(described)["multiply_adds"] == 3072 * width
    assert len(keys) == 2


def test_planning_loads_no_torch():
    code = (
        "import importlib, pkgutil, sys, assay.planning as p\n"
        "for module in pkgutil.iter_modules(p.__path__): importlib.import_module(f'assay.planning.{module.name}')\n"
        "print(*sys.modules)"
    )
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "assay.planning.plan" in modules
    assert not {"torch", "pandas", "matplotlib", "timm", "torchvision", "diffusers"} & set(modules)
