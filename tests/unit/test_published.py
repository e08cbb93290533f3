"""Classifiers and diffusions that were published elsewhere, in each layout that is read."""

import copy
import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import nn

from assay.artifacts import changed_sources
from assay.data.prepare import prepare_images
from assay.diffusion.denoiser import load_denoiser
from assay.diffusion.importing import import_diffusion
from assay.files import AssayError, sha256
from assay.inputs import Inputs
from assay.manifests import read_manifest
from assay.networks import importing
from assay.networks.classifier import build_classifier, load_classifier
from assay.networks.importing import import_classifier, is_softmax
from assay.networks.libraries import import_library
from assay.networks.measure import measure
from assay.networks.published import Source, read_weights
from assay.networks.published_classifier import from_tiatoolbox, read_published
from assay.networks.published_unet import OLD_ATTENTION, with_new_names
from assay.networks.unet import build_network, unet_class
from assay.planning.jobs import Jobs
from assay.planning.networks import NetworkSizes, describe
from assay.planning.past import sizes_of_results
from assay.study.classifiers import Network, PublishedClassifier, PublishedClassifierSpec
from assay.study.diffusions import Diffusion, DiffusionSpec, PublishedDiffusion, PublishedDiffusionSpec
from assay.study.images import ImagesSpec
from assay.study.parse import parse_study
from assay.training.diffusion import train_diffusion

CPU = torch.device("cpu")
SIDE = 16
SMALL = {"block": "basic", "layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}
TIMM = {
    "architecture": "resnet18",
    "num_classes": 2,
    "model_args": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]},
    "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.25, 1.0], "input_size": [3, SIDE, SIDE]},
}
UNET = {"channels": [8, 16], "layers_per_block": 1, "norm_groups": 4, "attention_levels": [1], "steps": 1}
PAPER = {"channels": [128, 128, 256, 256, 512, 512], "attention_levels": [4], "steps": 1}

# As diffusers 0.6 wrote them, with none of the keys of later versions.
OLD_UNET = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.6.0.dev0",
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [8, 16],
    "center_input_sample": False,
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 3,
    "layers_per_block": 1,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 4,
    "out_channels": 3,
    "sample_size": SIDE,
    "time_embedding_type": "positional",
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
}
OLD_SCHEDULER = {
    "_class_name": "DDPMScheduler",
    "_diffusers_version": "0.6.0.dev0",
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 0.0001,
    "clip_sample": True,
    "num_train_timesteps": 1000,
    "trained_betas": None,
    "variance_type": "fixed_small",
}


@pytest.fixture(scope="module")
def validation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "validation"
    prepare_images(
        ImagesSpec(images={"source": "phantom", "size": SIDE}, split="validation", count=24, seed=0),
        "",
        Inputs({}),
        folder,
    )
    return folder


# classifiers


def write_timm(folder: Path, config: dict = TIMM, classes: int = 2, seed: int = 0) -> nn.Module:
    """A folder as timm pushes it to the hub; the network that it was made of."""
    torch.manual_seed(seed)
    network = import_library("timm").create_model("resnet18", num_classes=classes, **TIMM["model_args"]).eval()
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(network.state_dict(), folder / "model.safetensors")
    return network


def write_tiatoolbox(path: Path, backbone: str, classes: int = 2) -> nn.Module:
    """A state dict as TIAToolbox's CNNModel has it, put together as that module is; the torchvision network of it."""
    arguments = {"aux_logits": False, "init_weights": False} if backbone == "googlenet" else {}
    torch.manual_seed(0)
    network = import_library("torchvision").models.get_model(backbone, num_classes=classes, **arguments).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as if trained
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    torch.save(cnn_model(network, backbone).state_dict(), path)
    return network


def cnn_model(network: nn.Module, backbone: str) -> nn.Module:
    """TIAToolbox's CNNModel around the layers of a torchvision network, but for its softmax."""
    if backbone == "mobilenet_v2":
        features, last = network.features, network.classifier[-1]
    else:
        cut = -3 if backbone == "googlenet" else -2
        features, last = nn.Sequential(*list(network.children())[:cut]), network.fc
    whole = nn.Module()
    whole.feat_extract, whole.pool, whole.classifier = features, nn.AdaptiveAvgPool2d((1, 1)), last
    return whole.eval()


def imported(validation: Path, out: Path, **keys: object) -> nn.Module:
    spec = PublishedClassifierSpec(classifier=keys)
    import_classifier(spec, "code", Inputs({"validation": validation}), out, 1)
    return load_classifier(out, CPU)


def test_a_timm_folder_gives_its_own_networks_logits(validation: Path, tmp_path: Path) -> None:
    network = write_timm(tmp_path / "published")
    model = imported(validation, tmp_path / "out", published=str(tmp_path / "published"), layout="timm")
    images = torch.rand(4, 3, SIDE, SIDE)
    colours = (torch.tensor(TIMM["pretrained_cfg"][key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    mean, std = colours
    with torch.inference_mode():
        assert torch.allclose(model(images), network((images - mean) / std), atol=1e-5)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"manifest.json", "model.safetensors"}


def test_a_range_of_minus_one_to_one_comes_before_mean_and_std(validation: Path, tmp_path: Path) -> None:
    network = write_timm(tmp_path / "published")
    keys = {"published": str(tmp_path / "published"), "layout": "timm", "data_range": (-1, 1), "mean": (0.1, 0, 0)}
    model = imported(validation, tmp_path / "out", **keys)
    images = torch.rand(4, 3, SIDE, SIDE)
    mean, std = torch.tensor([0.1, 0, 0]).view(1, 3, 1, 1), torch.tensor([0.5, 0.25, 1.0]).view(1, 3, 1, 1)
    with torch.inference_mode():
        assert torch.allclose(model(images), network((2 * images - 1 - mean) / std), atol=1e-5)


@pytest.mark.parametrize("backbone", ["resnet18", "resnext50_32x4d", "googlenet", "mobilenet_v2"])
def test_a_tiatoolbox_file_gives_the_logits_of_its_layers(backbone: str, validation: Path, tmp_path: Path) -> None:
    network = write_tiatoolbox(tmp_path / "net.pth", backbone)
    keys = {"published": str(tmp_path / "net.pth"), "layout": "tiatoolbox", "network": f"torchvision/{backbone}"}
    model = imported(validation, tmp_path / "out", **keys)
    images = torch.rand(2, 3, 64, 64)
    whole = cnn_model(network, backbone)
    with torch.inference_mode():
        logits = whole.classifier(whole.pool(whole.feat_extract(images)).flatten(1))
        assert torch.allclose(model(images), logits, atol=1e-4)
    assert load_file(tmp_path / "out/model.safetensors").keys() == {f"network.{name}" for name in network.state_dict()}


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "wide_resnet50_2", "googlenet", "mobilenet_v2"])
def test_tiatoolbox_names_go_back_to_torchvisions(backbone: str) -> None:
    keys = {"published": "x.pth", "layout": "tiatoolbox", "network": f"torchvision/{backbone}"}
    network = Network(network=f"torchvision/{backbone}", arguments=PublishedClassifier(**keys).arguments)
    with torch.device("meta"):
        own = build_classifier(network, 2).network
    theirs = cnn_model(own, backbone).state_dict()
    assert not any(name.startswith(("conv1", "features", "fc")) for name in theirs)
    back = from_tiatoolbox(theirs, network)
    assert back.keys() == own.state_dict().keys()
    assert all(back[name].shape == value.shape for name, value in own.state_dict().items())


def test_another_state_dict_is_no_tiatoolbox_file(validation: Path, tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(2, 512)}, tmp_path / "net.pth")
    keys = {"published": str(tmp_path / "net.pth"), "layout": "tiatoolbox", "network": "torchvision/resnet18"}
    with pytest.raises(AssayError, match=r"net.pth: no TIAToolbox CNNModel"):
        imported(validation, tmp_path / "out", **keys)
    torch.save({"feat_extract.0.weight": torch.zeros(2), "classifier.weight": torch.zeros(())}, tmp_path / "net.pth")
    with pytest.raises(AssayError, match=r"net.pth: no TIAToolbox CNNModel"):
        imported(validation, tmp_path / "out", **keys)
    with pytest.raises(AssayError, match=r"layout tiatoolbox is of one file; name it, such as resnet18-pcam.pth"):
        imported(validation, tmp_path / "out", **keys | {"published": str(tmp_path)})


@pytest.mark.parametrize("backbone", ["densenet121", "alexnet", "mobilenet_v3_small", "inception_v3"])
def test_a_tiatoolbox_network_whose_head_is_another_is_refused(backbone: str, tmp_path: Path) -> None:
    spec = PublishedClassifierSpec(
        classifier={"published": "x.pth", "layout": "tiatoolbox", "network": f"torchvision/{backbone}"}
    )
    with pytest.raises(AssayError, match=f"layout tiatoolbox of torchvision/{backbone} is not read"):
        read_published(spec.classifier, Source("x.pth"))


def test_what_a_manifest_says_of_a_published_classifier(validation: Path, tmp_path: Path) -> None:
    write_timm(tmp_path / "published")
    weights = tmp_path / "published/model.safetensors"
    keys = {"published": str(tmp_path / "published"), "layout": "timm", "sha256": sha256(weights)}
    imported(validation, tmp_path / "out", **keys)
    manifest = read_manifest(tmp_path / "out", "classifier")
    assert manifest["facts"]["published_sha256"] == sha256(weights)
    assert manifest["facts"]["network"]["network"] == "timm/resnet18"
    assert 0 <= manifest["facts"]["validation_accuracy"] <= 1
    assert manifest["spec"]["classifier"]["published"] == str(tmp_path / "published")
    first = (tmp_path / "out/manifest.json").read_bytes()
    imported(validation, tmp_path / "again", **keys)
    assert (tmp_path / "again/manifest.json").read_bytes() == first


def spoil(folder: Path, what: str) -> dict:
    """Make a timm folder wrong in one way; further keys of the config."""
    state = load_file(folder / "model.safetensors")
    config = copy.deepcopy(TIMM)
    match what:
        case "lacking key":
            del state["layer1.0.conv1.weight"], state["fc.weight"]
        case "left over key":
            state["head.weight"] = torch.zeros(1)
        case "other classes":
            config["num_classes"] = 10
        case "no architecture":
            del config["architecture"]
        case "other shape":
            state["fc.weight"] = torch.zeros(2, 99)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(state, folder / "model.safetensors")
    return {"other network": {"network": "timm/resnet34"}, "wrong hash": {"sha256": 64 * "0"}}.get(what, {})


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("lacking key", r"not those of timm/resnet18: it lacks layer1.0.conv1.weight, fc.weight; check the network"),
        ("left over key", r"it has left over head.weight; check the network"),
        ("other shape", r"it has of another shape fc.weight; check"),
        ("other classes", r"tells 10 classes apart, the images have 2"),
        ("no architecture", r"config.json: not a timm network's config \('architecture' is missing\)"),
        ("other network", r"is of timm/resnet18, the config's network is timm/resnet34"),
        ("wrong hash", r"has SHA-256 \w{64}, the config's sha256 is 0{64}"),
    ],
)
def test_a_wrong_timm_folder_is_one_line(what: str, message: str, validation: Path, tmp_path: Path) -> None:
    write_timm(tmp_path / "published")
    more = spoil(tmp_path / "published", what)
    with pytest.raises(AssayError, match=message) as caught:
        imported(validation, tmp_path / "out", published=str(tmp_path / "published"), layout="timm", **more)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_place_without_files_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"nowhere: not found; published must name a folder, a file or hf-hub"):
        Source(str(tmp_path / "nowhere")).require("config.json")
    with pytest.raises(AssayError, match=r"has no config.json; check published and, of a classifier, layout"):
        Source(str(tmp_path)).require("config.json")


@pytest.mark.parametrize("content", [b"", b"a text", b"12 numbers", b"\x80\x02text", b"PK\x03\x04text", b"\0" * 99])
@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_a_file_that_holds_no_weights_is_one_line(content: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AssayError, match=f"{name}: not a readable file of plain tensors") as caught:
        read_weights(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "harm",))

    torch.save({"classifier.weight": Harmful()}, tmp_path / "net.pth")
    with pytest.raises(AssayError, match=r"net.pth: not a readable file of plain tensors"):
        read_weights(tmp_path / "net.pth")
    assert not (tmp_path / "harm").exists()
    torch.save({"epoch": 3, "model": {}}, tmp_path / "checkpoint.pth")
    with pytest.raises(AssayError, match=r"checkpoint.pth: holds no state dict of plain tensors"):
        read_weights(tmp_path / "checkpoint.pth")


def test_a_softmax_a_guess_and_another_size_are_warned_of(
    validation: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_timm(tmp_path / "published")
    config = copy.deepcopy(TIMM)
    config["pretrained_cfg"]["input_size"] = [3, 224, 224]
    (tmp_path / "published/config.json").write_text(json.dumps(config))
    imported(validation, tmp_path / "out", published=str(tmp_path / "published"), layout="timm")
    said = capsys.readouterr().err
    assert "made for images of 224 pixels, and sees 16" in said
    assert "no better than always naming the commonest class" in said
    assert "probabilities" not in said
    logits = 3 * torch.randn(20, 2)
    assert is_softmax(logits.softmax(1))
    assert not is_softmax(logits)
    monkeypatch.setattr(importing, "logits_of", lambda *arguments: torch.randn(24, 2).softmax(1))
    imported(validation, tmp_path / "again", published=str(tmp_path / "published"), layout="timm")
    assert "its outputs are probabilities, not logits" in capsys.readouterr().err


def test_a_classifier_from_the_hub_is_found_there_and_its_hash_told(
    validation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    import huggingface_hub

    write_timm(tmp_path / "hub")
    asked = []

    def download(repository: str, name: str, revision: str | None) -> str:
        asked.append((repository, name, revision))
        return str(tmp_path / "hub" / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    imported(validation, tmp_path / "out", published="hf-hub:someone/net", layout="timm", revision="abc")
    assert asked == [("someone/net", name, "abc") for name in ("config.json", "model.safetensors")]
    found = sha256(tmp_path / "hub/model.safetensors")
    assert f"hf-hub:someone/net: not pinned; add 'sha256: {found}' to its keys" in capsys.readouterr().err
    assert read_manifest(tmp_path / "out")["facts"]["published_sha256"] == found


def test_one_file_of_a_hubs_repository_can_be_named() -> None:
    assert Source("hf-hub:owner/name/net-pcam.pth").named_file == "net-pcam.pth"
    assert Source("hf-hub:owner/name").named_file is None


def test_without_a_network_the_hub_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(AssayError, match=r"config.json was not downloaded .*name the local folder") as caught:
        Source("hf-hub:someone/net").require("config.json")
    assert "\n" not in str(caught.value)


def test_the_files_that_it_was_made_of_are_noted_and_one_that_changes_is_told(tmp_path: Path, validation: Path) -> None:
    write_timm(tmp_path / "published")
    imported(validation, tmp_path / "out", published=str(tmp_path / "published"), layout="timm")
    manifest = read_manifest(tmp_path / "out")
    weights = tmp_path / "published/model.safetensors"
    assert manifest["sources"][str(weights)] == sha256(weights)
    assert changed_sources(manifest) == []
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # over the file, whose folder keeps its time
    assert changed_sources(manifest) == [str(weights)]
    (tmp_path / "published").rename(tmp_path / "moved")
    assert changed_sources(manifest) == [], "what is gone cannot have changed"


# diffusions


def write_pipeline(folder: Path, scheduler: dict = OLD_SCHEDULER, unet: dict = OLD_UNET) -> nn.Module:
    """A DDPMPipeline's folder as diffusers 0.6 wrote it, with .bin weights and old names; the network it is made of."""
    torch.manual_seed(0)
    network = build_network(Diffusion(**UNET), SIDE).eval()
    new_to_old = {new: old for old, new in OLD_ATTENTION.items()}
    state = {}
    for name, value in network.state_dict().items():
        for new, old in new_to_old.items():
            name = name.replace(f".{new}.", f".{old}.")
        state[name] = value
    assert any(".query." in name for name in state)
    (folder / "unet").mkdir(parents=True)
    (folder / "scheduler").mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "DDPMPipeline"}))
    (folder / "unet/config.json").write_text(json.dumps(unet))
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(scheduler))
    torch.save(state, folder / "unet/diffusion_pytorch_model.bin")
    return network


def imported_diffusion(validation: Path, out: Path, published: Path, **keys: object) -> None:
    keys = {"data_range": (0, 1), "channels": [8, 16], "layers_per_block": 1, "attention_levels": [1]} | keys
    spec = PublishedDiffusionSpec(diffusion={"published": str(published), **keys}, seed=0)
    import_diffusion(spec, "code", Inputs({"validation": validation}), out, 1)


def test_an_old_pipeline_gives_its_own_networks_noise(validation: Path, tmp_path: Path) -> None:
    network = write_pipeline(tmp_path / "published")
    imported_diffusion(validation, tmp_path / "out", tmp_path / "published")
    denoiser = load_denoiser(tmp_path / "out", CPU)
    images, sigma = torch.rand(2, 3, SIDE, SIDE), 0.1437
    with torch.inference_mode():
        # at t = 40 of DDPM's schedule, on data that were left in [0,1]: algorithm by hand
        abar = float(torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64).neg().add(1).cumprod(0)[40])
        assert ((1 - abar) / abar) ** 0.5 == pytest.approx(sigma, abs=1e-4)
        noise = network(images * abar**0.5, 40).sample
        assert torch.allclose(denoiser(images, sigma), (images - sigma * noise).clamp(0, 1), atol=1e-3)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"manifest.json", "config.json", "diffusion_pytorch_model.safetensors", "samples.png"}


def test_a_pipeline_whose_files_all_lie_at_the_root_is_read_with_its_scheduler(
    validation: Path, tmp_path: Path
) -> None:
    """As google/ddpm-cifar10-32 is laid out, with its flags."""
    google = {"downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-6}
    unet, root = OLD_UNET | google | {"attention_head_dim": None}, tmp_path / "published"
    weights = write_pipeline(root, OLD_SCHEDULER | {"clip_sample": False}, unet).state_dict()
    network = unet_class().from_config(unet).eval()
    network.load_state_dict(weights)
    for path in [*root.glob("unet/*"), *root.glob("scheduler/*")]:
        path.rename(root / path.name)
    imported_diffusion(validation, tmp_path / "out", root)
    denoiser = load_denoiser(tmp_path / "out", CPU)
    assert not denoiser.clip
    x, sigma = torch.rand(2, 3, SIDE, SIDE), float(denoiser.schedule.sigmas[40])
    with torch.inference_mode():
        noise = network(x * denoiser.schedule.abar[40] ** 0.5, 40).sample
        assert torch.allclose(denoiser(x, sigma), x - sigma * noise, atol=1e-5)
    (root / "scheduler_config.json").write_text(json.dumps(OLD_SCHEDULER | {"num_train_timesteps": 500}))
    with pytest.raises(AssayError, match=r"scheduler_config.json: its time_steps is 500, the config's 1000"):
        imported_diffusion(validation, tmp_path / "other", root)


def test_an_imported_diffusions_loss_is_the_networks(validation: Path, tmp_path: Path) -> None:
    network = write_pipeline(tmp_path / "published")
    imported_diffusion(validation, tmp_path / "out", tmp_path / "published")
    facts = read_manifest(tmp_path / "out", "diffusion")["facts"]
    scheduler = import_library("diffusers.schedulers.scheduling_ddpm").DDPMScheduler(**kept(OLD_SCHEDULER))
    torch.manual_seed(1)
    images = torch.rand(32, 3, SIDE, SIDE)
    times, noise = torch.linspace(0, 999, 32).long(), torch.randn_like(images)
    with torch.inference_mode():
        estimate = network(scheduler.add_noise(images, noise, times), times).sample
        loss = (estimate - noise).square().mean().item()
    assert facts["validation_loss"] == pytest.approx(loss, rel=0.2)
    assert (facts["schedule"], facts["time_steps"], facts["data_range"]) == ("linear", 1000, [0.0, 1.0])


def kept(config: dict) -> dict:
    return {key: value for key, value in config.items() if not key.startswith("_")}


@pytest.mark.parametrize(("told", "prediction"), [("v_prediction", "v"), ("sample", "x0"), ("epsilon", "epsilon")])
def test_what_the_network_predicts_and_whether_estimates_are_clipped_are_its_schedulers(
    told: str, prediction: str, validation: Path, tmp_path: Path
) -> None:
    scheduler = OLD_SCHEDULER | {"prediction_type": told, "clip_sample": False}
    network = write_pipeline(tmp_path / "published", scheduler)
    imported_diffusion(validation, tmp_path / "out", tmp_path / "published", prediction=prediction)
    facts = read_manifest(tmp_path / "out", "diffusion")["facts"]
    assert (facts["prediction"], facts["clip"], facts["size"]) == (prediction, False, [SIDE, SIDE])
    theirs = import_library("diffusers.schedulers.scheduling_ddpm").DDPMScheduler(**kept(scheduler))
    denoiser = load_denoiser(tmp_path / "out", CPU)
    x, time = torch.rand(2, 3, SIDE, SIDE), 60
    with torch.inference_mode():
        data = x * theirs.alphas_cumprod[time] ** 0.5  # in [0,1], the range that the config says
        clean = theirs.step(network(data, time).sample, time, data).pred_original_sample
        assert torch.allclose(denoiser(x, float(denoiser.schedule.sigmas[time])), clean, atol=1e-4)


def test_a_learned_variance_is_read_and_left_aside(validation: Path, tmp_path: Path) -> None:
    network = write_pipeline(tmp_path / "published")
    weights = tmp_path / "published/unet/diffusion_pytorch_model.bin"
    state = torch.load(weights, weights_only=True)
    for name in ("conv_out.weight", "conv_out.bias"):
        state[name] = torch.cat([state[name], torch.randn_like(state[name])])
    torch.save(state, weights)
    (tmp_path / "published/unet/config.json").write_text(json.dumps(OLD_UNET | {"out_channels": 6}))
    imported_diffusion(validation, tmp_path / "out", tmp_path / "published")
    denoiser = load_denoiser(tmp_path / "out", CPU)
    x, sigma = torch.rand(2, 3, SIDE, SIDE), float(denoiser.schedule.sigmas[40])
    with torch.inference_mode():
        estimate = network(x * denoiser.schedule.abar[40] ** 0.5, 40).sample
        assert torch.allclose(denoiser(x, sigma), (x - sigma * estimate).clamp(0, 1), atol=1e-5)


def test_a_network_of_another_size_works_at_its_own(
    validation: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write_pipeline(tmp_path / "published", unet=OLD_UNET | {"sample_size": 24})
    imported_diffusion(validation, tmp_path / "out", tmp_path / "published")
    said = capsys.readouterr().err
    assert "made for images of 24 by 24 pixels; these have 16 by 16 and are resized for it and back" in said
    denoiser = load_denoiser(tmp_path / "out", CPU)
    assert denoiser.enter(torch.rand(2, 3, SIDE, SIDE)).shape == (2, 3, 24, 24)
    assert 1 < denoiser.stretch((SIDE, SIDE)) < 2


def test_a_unet_without_a_size_that_cannot_halve_the_images_is_refused(validation: Path, tmp_path: Path) -> None:
    deep = {"block_out_channels": [8] * 6, "down_block_types": ["DownBlock2D"] * 6, "up_block_types": ["UpBlock2D"] * 6}
    unet = {key: value for key, value in OLD_UNET.items() if key != "sample_size"} | deep
    write_pipeline(tmp_path / "published", unet=unet)
    torch.manual_seed(0)
    network = import_library("diffusers.models.unets.unet_2d").UNet2DModel.from_config(unet)
    torch.save(network.state_dict(), tmp_path / "published/unet/diffusion_pytorch_model.bin")
    with pytest.raises(AssayError, match="sides are multiples of 32, found 16 by 16 pixels; name another diffusion"):
        imported_diffusion(validation, tmp_path / "out", tmp_path / "published")


def test_a_unets_folder_alone_is_read_and_a_trained_one_comes_back(validation: Path, tmp_path: Path) -> None:
    diffusion = UNET | {"steps": 2, "batch_size": 4, "validate_every": 2, "data_range": (0, 1), "schedule": "cosine"}
    inputs = Inputs({"train": validation, "validation": validation})
    train_diffusion(DiffusionSpec(diffusion=diffusion, seed=0), "", inputs, tmp_path / "own", 1)
    imported_diffusion(validation, tmp_path / "out", tmp_path / "own", schedule="cosine")
    weights = "diffusion_pytorch_model.safetensors"
    assert sha256(tmp_path / "own" / weights) == sha256(tmp_path / "out" / weights)
    facts = [read_manifest(tmp_path / name)["facts"] for name in ("own", "out")]
    assert facts[0]["validation_loss"] == pytest.approx(facts[1]["validation_loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("scheduler", "keys", "message"),
    [
        ({"beta_schedule": "scaled_linear"}, {}, r"scheduler_config.json: its noise schedule is neither"),
        ({"beta_end": 0.012}, {}, r"its noise schedule is neither DDPM's linear one"),
        ({"trained_betas": [0.1]}, {}, r"its noise schedule is neither"),
        ({"prediction_type": "flow"}, {}, r"the network predicts flow; only epsilon, v_prediction, sample are read"),
        (
            {"prediction_type": "v_prediction"},
            {},
            r"its prediction is v, the config's epsilon; write prediction: v$",
        ),
        ({}, {"prediction": "x0"}, r"its prediction is epsilon, the config's x0; write prediction: epsilon$"),
        (
            {"beta_schedule": "squaredcos_cap_v2"},
            {},
            r"its schedule is cosine, the config's linear; write schedule: cos",
        ),
        ({"num_train_timesteps": 500}, {}, r"its time_steps is 500, the config's 1000; write time_steps: 500"),
        ({}, {"sha256": 64 * "0"}, r"diffusion_pytorch_model.bin has SHA-256"),
    ],
)
def test_a_schedule_that_is_not_ours_is_one_line(
    scheduler: dict, keys: dict, message: str, validation: Path, tmp_path: Path
) -> None:
    write_pipeline(tmp_path / "published", OLD_SCHEDULER | scheduler)
    with pytest.raises(AssayError, match=message) as caught:
        imported_diffusion(validation, tmp_path / "out", tmp_path / "published", **keys)
    assert "\n" not in str(caught.value)


def test_a_cosine_schedule_is_read(validation: Path, tmp_path: Path) -> None:
    write_pipeline(tmp_path / "published", OLD_SCHEDULER | {"beta_schedule": "squaredcos_cap_v2"})
    imported_diffusion(validation, tmp_path / "out", tmp_path / "published", schedule="cosine")
    assert load_denoiser(tmp_path / "out", CPU).schedule.kind == "cosine"


@pytest.mark.parametrize(
    ("unet", "message"),
    [
        ({"out_channels": 4}, "takes 3 and gives 4 channels; only networks that take 3 and give 3 or 6 are read"),
        ({"in_channels": 4}, "takes 4 and gives 3 channels"),
        ({"num_class_embeds": 10}, "is conditioned on classes"),
        ({"_class_name": "UNet2DConditionModel"}, "is of a UNet2DConditionModel"),
        ({"block_out_channels": [8]}, "no U-Net can be built from it"),
        ({"block_out_channels": [8, 32]}, "are not those of the U-Net of its config.json"),
    ],
)
def test_a_unet_that_is_not_read_is_one_line(unet: dict, message: str, validation: Path, tmp_path: Path) -> None:
    write_pipeline(tmp_path / "published", unet=OLD_UNET | unet)
    with pytest.raises(AssayError, match=message) as caught:
        imported_diffusion(validation, tmp_path / "out", tmp_path / "published")
    assert "\n" not in str(caught.value)


def test_a_wrong_data_range_and_other_sizes_are_warned_of(
    validation: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    training = {"steps": 60, "batch_size": 8, "validate_every": 60, "learning_rate": 2e-3, "ema_decay": 0.9}
    diffusion = UNET | {"channels": [16, 32], "norm_groups": 8} | training
    inputs = Inputs({"train": validation, "validation": validation})
    train_diffusion(DiffusionSpec(diffusion=diffusion, seed=0), "", inputs, tmp_path / "own", 1)
    capsys.readouterr()
    imported_diffusion(validation, tmp_path / "right", tmp_path / "own", data_range=(-1, 1), channels=[16, 32])
    assert "note" not in capsys.readouterr().err
    imported_diffusion(validation, tmp_path / "wrong", tmp_path / "own", data_range=(0, 1), channels=[8, 8])
    said = capsys.readouterr().err
    assert "if data_range is [-1.0, 1.0]; check data_range" in said
    assert "write channels: [16, 32], layers_per_block: 1, attention_levels: [1], middle_attention: true" in said


def test_new_names_of_attention_are_left_alone() -> None:
    names = {"a.to_q.weight": 0, "a.proj_attn.bias": 1, "a.query_norm.weight": 2}
    assert with_new_names(names) == {"a.to_q.weight": 0, "a.to_out.0.bias": 1, "a.query_norm.weight": 2}


def test_the_papers_unet_has_attention_at_one_level_down_and_up() -> None:
    diffusion = Diffusion(**PAPER)
    with torch.device("meta"):
        network = build_network(diffusion, 96)
    plain, attention = "DownBlock2D", "AttnDownBlock2D"
    assert tuple(network.config.down_block_types) == (*4 * (plain,), attention, plain)
    assert tuple(network.config.up_block_types) == ("UpBlock2D", "AttnUpBlock2D", *4 * ("UpBlock2D",))
    published = PublishedDiffusion(published="hf-hub:ankile/ddpm-pcam-96-flip", data_range=(0, 1))
    size = measure(describe(published, 96, 2))
    assert size["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert size["parameters"] == pytest.approx(113.67e6, abs=0.005e6)


# the config, plans and resources

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "config/config.yaml").read_text())
CLASSIFIER = {
    "published": "hf-hub:TIACentre/TIAToolbox_pretrained_weights/resnet101-pcam.pth",
    "layout": "tiatoolbox",
    "network": "torchvision/resnet101",
}
DIFFUSION = {"published": "hf-hub:ankile/ddpm-pcam-96-flip", "data_range": [0, 1]}


def study(classifier: dict = CLASSIFIER, diffusion: dict = DIFFUSION):
    classifiers = CONFIG["classifiers"] | {"elsewhere": classifier}
    return parse_study(CONFIG | {"classifiers": classifiers, "diffusions": {"unet": diffusion}}, "mine.yaml")


@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (CLASSIFIER | {"epochs": 3}, "elsewhere.epochs: unknown key; "),
        (CLASSIFIER | {"layuot": 3}, "elsewhere.layuot: unknown key; did you mean 'layout'?"),
        (
            {"publishd": "x", "network": "timm/a"},
            "elsewhere.publishd: unknown key; did you mean 'published'?",
        ),
        ({"published": "x"}, "elsewhere.layout: missing; add it"),
        (
            CLASSIFIER | {"network": None},
            "elsewhere.network: missing; layout tiatoolbox needs its network",
        ),
        (CLASSIFIER | {"data_range": [0, 2]}, "elsewhere.data_range: [0.0, 2.0] is neither [0, 1] nor [-1, 1]"),
        (CLASSIFIER | {"layout": "timm"}, "elsewhere.network: layout timm is of timm's networks"),
        ({"network": "timm/a", "objective": {"method": "adversarial"}}, "elsewhere.objective.eps: missing"),
        (
            {"network": "timm/a", "objective": {"method": "adversarial", "eps": "2/255", "step": 3}},
            "elsewhere.objective.step: unknown key; did you mean 'steps'?",
        ),
        ("resnet", "elsewhere: holds no keys"),
    ],
)
def test_a_fault_in_a_classifier_of_either_kind_is_one_line_with_its_key(classifier: object, message: str) -> None:
    with pytest.raises(AssayError) as caught:
        study(classifier)
    assert f"mine.yaml: classifiers.{message}" in str(caught.value)
    assert "published.published" not in str(caught.value)


def test_a_diffusion_must_say_its_range() -> None:
    with pytest.raises(AssayError, match=r"^mine.yaml: diffusions.unet.data_range: missing; add it"):
        study(diffusion={"published": "x"})


def test_specs_and_wildcards_go_by_kind() -> None:
    jobs = Jobs(study())
    assert (jobs.named("classifier", False), jobs.named("classifier", True)) == (["resnet"], ["elsewhere"])
    assert (jobs.named("diffusion", False), jobs.named("diffusion", True)) == ([], ["unet"])
    PublishedClassifierSpec.model_validate_json(jobs.import_classifier("elsewhere").text)
    PublishedDiffusionSpec.model_validate_json(jobs.import_diffusion("unet").text)
    again = type(jobs.study).model_validate_json(jobs.report().text)
    assert again.model_copy(update={"threads": jobs.study.threads}) == jobs.study


def test_past_results_tell_what_a_published_classifier_is_built_from(tmp_path: Path, validation: Path) -> None:
    write_timm(tmp_path / "published")
    keys = {"published": str(tmp_path / "published"), "layout": "timm"}
    imported(validation, tmp_path / "results/classifiers/elsewhere", **keys)
    images = tmp_path / "results/images/test"
    prepare_images(
        ImagesSpec(images={"source": "phantom", "size": SIDE}, split="test", count=2, seed=0), "", Inputs({}), images
    )
    known = sizes_of_results(tmp_path / "results", NetworkSizes(tmp_path / "sizes.json"))
    facts = read_manifest(tmp_path / "results/classifiers/elsewhere")["facts"]
    assert measure(known.described["elsewhere"])["parameters"] == facts["parameters"]
