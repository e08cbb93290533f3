"""Whether an image can do what its stages need: `check.py KIND` imports the libraries and runs something tiny."""

import io
import sys


def data() -> None:
    """Write and read HDF5, MATLAB's format, a TIFF and a table."""
    import h5py
    from scipy.io import loadmat, savemat

    arrays()
    with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
        file["x"] = [1, 2]
        assert file["x"][1] == 2
    buffer = io.BytesIO()
    savemat(buffer, {"x": [1, 2]})
    assert loadmat(buffer)["x"].sum() == 3


def arrays() -> None:
    """Write and read a TIFF and a table."""
    import numpy as np
    import pandas as pd
    import pydantic
    import tifffile
    import tqdm  # noqa: F401

    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, images, photometric="rgb")
    buffer.seek(0)
    assert (tifffile.imread(buffer) == images).all()
    assert pd.read_csv(io.StringIO("id,label\na,1\n"))["label"].sum() == 1
    assert pydantic.TypeAdapter(int).validate_json("3") == 3


def torch() -> None:
    """A forward pass of a small classifier, and forward and backward of a small U-Net, on the GPU if there is one."""
    import torch

    _import_torchvision()
    import diffusers
    import safetensors.torch
    import timm
    import torchattacks  # noqa: F401

    arrays()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images = torch.zeros(2, 3, 16, 16, device=device)
    network = timm.create_model("resnet18", layers=[1, 1, 1, 1], channels=[8, 8, 8, 8], num_classes=2).to(device)
    assert network(images).shape == (2, 2)
    unet = diffusers.UNet2DModel(
        sample_size=16,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        add_attention=False,
    ).to(device)
    unet(images, torch.tensor([1, 2], device=device)).sample.sum().backward()
    assert len(safetensors.torch.save(network.state_dict())) > 0
    print(f"torch {torch.__version__} on {device}")


def report() -> None:
    """Draw a figure and fill a template."""
    import jinja2
    import scipy.stats
    import yaml
    from matplotlib.figure import Figure

    arrays()
    buffer = io.StringIO()
    Figure().subplots().get_figure().savefig(buffer, format="svg")
    assert "<svg" in buffer.getvalue()
    assert jinja2.Template("{{ a }}").render(a=1) == "1"
    assert 0.9 < scipy.stats.norm.cdf(1.5) < 1
    assert yaml.safe_load("a: 1") == {"a": 1}


def _import_torchvision() -> None:
    """As src/assay/networks/libraries.py does: beside a CPU torch the registry's torchvision lacks two operators."""
    import torch

    try:
        import torchvision
    except RuntimeError:
        for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[module]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401

        _import_torchvision.library = library


if __name__ == "__main__":
    {"data": data, "torch": torch, "report": report}[sys.argv[1]]()
    print(f"{sys.argv[1]}: the image works")
