"""OpenAI's U-Nets as diffusers': the same noise as their own code, the variance dropped, the time in thousandths."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from assay.data.prepare import prepare_images
from assay.diffusion.denoiser import Denoiser, load_denoiser
from assay.diffusion.importing import import_diffusion
from assay.diffusion.schedule import Schedule
from assay.files import AssayError
from assay.inputs import Inputs
from assay.networks.openai_unet import config_of, from_openai, shape_of
from assay.networks.published import load_state
from assay.networks.published_unet import build_published
from assay.study.diffusions import PublishedDiffusionSpec
from assay.study.images import ImagesSpec
from originals.planted import images, planted

CPU = torch.device("cpu")
HEAD = 32
ORIGINALS = json.loads((Path(__file__).parents[1] / "originals/values.json").read_text())
NETWORKS = [(edition, name) for edition in ("improved", "guided") for name in ORIGINALS[edition]["networks"]]


def original(edition: str, name: str) -> tuple[dict[str, Tensor], Tensor]:
    """The planted state dict, and what the original code gives for it."""
    found = ORIGINALS[edition]["networks"][name]
    noise = torch.tensor([[float(value) for value in row.split()] for row in found["noise"]])
    return planted(found["shapes"]), noise


@pytest.mark.parametrize(("edition", "name"), NETWORKS)
def test_a_unet_predicts_the_noise_that_its_own_code_predicts(edition: str, name: str) -> None:
    state, expected = original(edition, name)
    network = build_published(config_of(state, "net.pt", HEAD, None), "net.pt").eval()
    load_state(network, from_openai(state, "net.pt", HEAD), "net.pt", "such a U-Net")
    with torch.inference_mode():
        noise = network(images(2, 16) * 2 - 1, torch.tensor(ORIGINALS[edition]["times"])).sample
    assert noise.shape == (2, 3, 16, 16)
    found = noise.flatten(1)[:, :: ORIGINALS[edition]["every"]]
    assert expected.std() > 0.1
    assert torch.allclose(found, expected, atol=1e-5, rtol=1e-4)


def test_the_other_order_of_query_key_and_value_would_give_another_noise() -> None:
    """So the test above tells a wrong order, whose shapes all fit, from the right one."""
    state, expected = original("guided", "resnets")
    for name in [each for each in state if ".qkv." in each]:
        blocks = state[name].unflatten(0, (3, -1, HEAD))
        state[name] = blocks.transpose(0, 1).flatten(0, 2)
    network = build_published(config_of(state, "net.pt", HEAD, None), "net.pt").eval()
    load_state(network, from_openai(state, "net.pt", HEAD), "net.pt", "such a U-Net")
    with torch.inference_mode():
        noise = network(images(2, 16) * 2 - 1, torch.tensor(ORIGINALS["guided"]["times"])).sample
    assert not torch.allclose(noise.flatten(1)[:, :: ORIGINALS["guided"]["every"]], expected, atol=1e-2)


def test_the_published_unets_have_their_sizes() -> None:
    """552.81 million parameters of 256x256_diffusion_uncond.pt, and 52.55 of cifar10_uncond_50M_500K.pt."""
    guided = {
        "block_out_channels": (256, 256, 512, 512, 1024, 1024),
        "layers_per_block": 2,
        "down_block_types": ("ResnetDownsampleBlock2D",) * 3 + ("AttnDownBlock2D",) * 3,
        "up_block_types": ("AttnUpBlock2D",) * 3 + ("ResnetUpsampleBlock2D",) * 3,
        "downsample_type": "resnet",
        "upsample_type": "resnet",
    }
    improved = {
        "block_out_channels": (128, 256, 256, 256),
        "layers_per_block": 3,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    }
    shared = {"out_channels": 6, "resnet_time_scale_shift": "scale_shift", "attention_head_dim": 64}
    for config, millions in ((guided, 552.81), (improved, 52.55)):
        with torch.device("meta"):
            network = build_published(config | shared | {"attn_norm_num_groups": 32}, "")
        assert round(sum(each.numel() for each in network.parameters()) / 1e6, 2) == millions


def test_a_network_of_a_cosine_schedule_of_4000_steps_is_given_its_time_in_thousandths(tmp_path: Path) -> None:
    state, _ = original("improved", "scaled")
    torch.save(state, tmp_path / "net.pt")
    prepare_images(
        ImagesSpec(images={"source": "phantom", "size": 16}, split="validation", count=8, seed=0),
        "",
        Inputs({}),
        tmp_path / "validation",
    )
    keys = {"published": str(tmp_path / "net.pt"), "layout": "openai", "data_range": (-1, 1), "head_channels": HEAD}
    keys |= {"schedule": "cosine", "time_steps": 4000, "image_size": 16}
    spec = PublishedDiffusionSpec(diffusion=keys, seed=0)
    import_diffusion(spec, "code", Inputs({"validation": tmp_path / "validation"}), tmp_path / "out", 1)
    denoiser = load_denoiser(tmp_path / "out", CPU)
    assert denoiser.size == (16, 16)
    schedule = Schedule("cosine", 4000)
    assert denoiser.schedule.highest == schedule.highest
    x, sigma, times = images(2, 16), float(schedule.sigmas[2400]), []
    network = denoiser.network
    network.register_forward_pre_hook(lambda module, given: times.append(given[1]))
    with torch.inference_mode():
        clean = denoiser(x, sigma)
    assert torch.equal(times[0], torch.full((2,), 600.0))
    signal = schedule.abar[2400] ** 0.5
    with torch.inference_mode():
        noise = network((2 * x - 1) * signal, torch.full((2,), 600.0)).sample
    assert torch.allclose(clean, (x - sigma * noise).clamp(0, 1), atol=1e-5)
    assert Denoiser(network, schedule).time_scale == 1.0


def test_other_files_are_refused_in_one_line() -> None:
    state, _ = original("improved", "scaled")
    for change, message in (
        ({"label_emb.weight": torch.zeros(10, 128)}, "net.pt: is conditioned on classes"),
        ({"output_blocks.12.0.conv.weight": torch.zeros(1)}, "net.pt: is not the state dict of one of OpenAI's U-Nets"),
    ):
        with pytest.raises(AssayError, match=message):
            shape_of(state | change, "net.pt")
    with pytest.raises(AssayError, match=r"net.pt: is not the state dict of one of OpenAI's U-Nets; check layout"):
        shape_of({"conv_in.weight": torch.zeros(1)}, "net.pt")
    with pytest.raises(AssayError, match=r"net.pt: lacks input_blocks.1.0.out_layers.3.weight"):
        shape_of({name: value for name, value in state.items() if not name.startswith("input_blocks.1.")}, "net.pt")
    with pytest.raises(AssayError, match=r"attention of 64 channels, which are no heads of 48; correct head_channels"):
        config_of(state, "net.pt", 48, None)


def test_heads_that_would_differ_in_size_are_refused() -> None:
    """improved-diffusion's ImageNet-64 has four heads everywhere, of 96 and of 128 channels."""
    state, _ = original("improved", "added")
    state["input_blocks.1.1.qkv.weight"] = torch.zeros(96, 32, 1)  # attention at the first level, of 32 channels
    with pytest.raises(AssayError, match=r"attention of 32 and 64 channels, with as many heads each; only U-Nets"):
        config_of(state, "net.pt", HEAD, None)
