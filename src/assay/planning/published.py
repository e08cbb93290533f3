"""What the files beside published weights say of a network, and whether all of its local files are there.

Nothing here needs torch: what is wrong with local files is known when a study is planned.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from assay.files import HEADER_BYTES, HEADERS, AssayError, read_json
from assay.planning.library_names import name_fault
from assay.study.classifiers import PublishedClassifier, PythonClassifier
from assay.study.diffusions import Prediction, PublishedDiffusion, ScheduleKind
from assay.study.fields import HUB, Arguments, PositiveInt
from assay.study.networks import Colours, Network, PublishedDeviations
from assay.study.preprocessing import Interpolation, Preprocessing

CONFIG = "config.json"
CLASSIFIER_WEIGHTS = "model.safetensors"
UNET_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
ONE_FILE = "256x256_diffusion_uncond.pt"  # of OpenAI's
SCHEDULERS = ("scheduler/scheduler_config.json", "scheduler_config.json")  # old pipelines have all at the root
COLOURS = 3
USUAL_CROP = 0.875
OUTPUTS = (COLOURS, 2 * COLOURS)  # twice as many where the variance is learned
PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v", "sample": "x0"}  # by diffusers' names
LINEAR_BETAS = {"beta_start": 1e-4, "beta_end": 0.02}  # DDPM's, and diffusers' defaults
# TIAToolbox's CNNModel is torchvision's network with its head cut off, pooling, and one linear layer. These are the
# networks whose own head is just that; the others' heads differ (DenseNet has a ReLU before it), so that the same
# weights in torchvision's network would give other logits.
SAME_HEAD = re.compile(r"(resnet|resnext|wide_resnet)\w+|googlenet|mobilenet_v2")
TORCH_HEADERS = (b"PK", b"\x80")  # of a PyTorch file: a zip, or before PyTorch 1.6 a pickle

AnyPublished = PublishedClassifier | PythonClassifier | PublishedDiffusion


class _Told(BaseModel):
    """A part of a config.json, of which we read some keys."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class TimmPretrained(_Told):
    """What timm says of the images that a network was trained on."""

    num_classes: PositiveInt | None = None
    mean: Colours | None = None
    std: PublishedDeviations | None = None
    input_size: list[PositiveInt] = []
    crop_pct: float | None = Field(None, gt=0)
    crop_mode: str | None = None
    interpolation: str | None = None

    @property
    def side(self) -> int | None:
        """The side of its images in pixels, if it is known."""
        return self.input_size[-1] if self.input_size else None

    @property
    def preprocessing(self) -> Preprocessing | None:
        """How files became its images, where we have the same; timm's defaults are a crop of 0.875, and bicubic."""
        mode = {None: "crop", "": "crop", "center": "crop", "squash": "squash"}.get(self.crop_mode)
        interpolation = self.interpolation or "bicubic"
        if mode is None or self.side is None or interpolation not in get_args(Interpolation):
            return None
        resize = math.floor(self.side / (self.crop_pct or USUAL_CROP))
        return Preprocessing(mode=mode, resize=resize, interpolation=interpolation)


class TimmConfig(_Told):
    """timm's config.json."""

    architecture: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=190)]
    num_classes: PositiveInt | None = None
    model_args: Arguments | None = None
    pretrained_cfg: TimmPretrained = TimmPretrained()

    @property
    def network(self) -> str:
        return f"timm/{self.architecture}"

    @property
    def classes(self) -> int | None:
        """The number of classes, if it is known."""
        return self.num_classes or self.pretrained_cfg.num_classes


class UnetConfig(_Told):
    """Of a U-Net's config.json what is not its constructor's affair. Old versions lack some keys."""

    kind: str = Field("UNet2DModel", alias="_class_name")
    in_channels: PositiveInt = COLOURS
    out_channels: PositiveInt = COLOURS
    sample_size: PositiveInt | tuple[PositiveInt, PositiveInt] | None = None
    block_out_channels: tuple[PositiveInt, ...] = (224, 448, 672, 896)  # diffusers' default
    class_embed_type: Any = None
    num_class_embeds: Any = None


class SchedulerConfig(_Told):
    """A diffusion's scheduler_config.json."""

    beta_schedule: str = "linear"
    beta_start: float = LINEAR_BETAS["beta_start"]
    beta_end: float = LINEAR_BETAS["beta_end"]
    trained_betas: Any = None
    rescale_betas_zero_snr: Any = None
    prediction_type: str = "epsilon"
    num_train_timesteps: int = 1000
    clip_sample: bool = True

    @property
    def schedule(self) -> ScheduleKind | None:
        """The kind of schedule; None for any that we do not have."""
        if self.trained_betas is not None or self.rescale_betas_zero_snr:
            return None
        known = all(math.isclose(getattr(self, key), value) for key, value in LINEAR_BETAS.items())
        if self.beta_schedule == "linear" and known:
            return "linear"
        return "cosine" if self.beta_schedule == "squaredcos_cap_v2" else None


Told = TypeVar("Told", bound=_Told)


def timm_config(place: Path) -> TimmConfig:
    """What a config.json of timm's says."""
    return _read(TimmConfig, place, "a timm network's config", "layout")


def read_timm_config(place: Path, published: PublishedClassifier) -> TimmConfig:
    """timm's config.json, which must be of the network that the config names, if it names one, and lack nothing."""
    told = timm_config(place)
    if told.classes is None:
        raise AssayError(f"{place}: not a timm network's config ('num_classes' is missing); check layout")
    for key in ("mean", "std"):
        if getattr(published, key) is None and getattr(told.pretrained_cfg, key) is None:
            raise AssayError(f"{place}: not a timm network's config ('{key}' is missing); check layout")
    if published.network not in (None, told.network):
        raise AssayError(f"{place}: is of {told.network}, the config's network is {published.network}; remove network")
    return told


def read_unet_config(place: Path) -> dict[str, Any]:
    """A U-Net's config.json, for its constructor."""
    told = _read(UnetConfig, place, "a U-Net's config", "published")
    if told.kind != "UNet2DModel":
        raise AssayError(f"{place}: is of a {told.kind}; only a UNet2DModel is read")
    if told.in_channels != COLOURS or told.out_channels not in OUTPUTS:
        raise AssayError(
            f"{place}: takes {told.in_channels} and gives {told.out_channels} channels; only networks that take "
            f"{COLOURS} and give {' or '.join(map(str, OUTPUTS))} are read"
        )
    if told.class_embed_type or told.num_class_embeds:
        raise AssayError(f"{place}: is conditioned on classes; only unconditional networks are read")
    return read_json(place)


def read_scheduler(place: Path, published: PublishedDiffusion) -> SchedulerConfig:
    """A diffusion's scheduler_config.json, whose schedule and prediction must be the config's."""
    told = _read(SchedulerConfig, place, "a scheduler's config", "published")
    if told.prediction_type not in PREDICTIONS:
        raise AssayError(
            f"{place}: the network predicts {told.prediction_type}; only {', '.join(PREDICTIONS)} are read"
        )
    if told.schedule is None:
        raise AssayError(
            f"{place}: its noise schedule is neither DDPM's linear one (betas from 1e-4 to 0.02) nor the cosine one "
            f"(squaredcos_cap_v2); choose another diffusion"
        )
    described = {
        "schedule": told.schedule,
        "time_steps": told.num_train_timesteps,
        "prediction": PREDICTIONS[told.prediction_type],
    }
    for key, found in described.items():
        if getattr(published, key) != found:
            raise AssayError(
                f"{place}: its {key} is {found}, the config's {getattr(published, key)}; write {key}: {found}"
            )
    return told


def told_network(published: PublishedClassifier) -> Network | None:
    """The network of a published classifier, as far as its keys, or config.json in a local folder, tell."""
    keys = {"network": published.network, "arguments": published.arguments, "denoise": published.denoise}
    if published.layout == "timm" and not published.published.startswith(HUB):
        place = Path(published.published)
        told = timm_config((place if place.is_dir() else place.parent) / CONFIG)
        keys = {"network": told.network, "arguments": told.model_args or {}}
    return Network(**keys, input_size=published.input_size) if keys["network"] else None


def check_head(published: PublishedClassifier) -> None:
    """Refuse a network of TIAToolbox's whose head is not torchvision's."""
    backbone = (published.network or "").removeprefix("torchvision/")
    if published.layout == "tiatoolbox" and not SAME_HEAD.fullmatch(backbone):
        raise AssayError(
            f"layout tiatoolbox of torchvision/{backbone} is not read, since TIAToolbox's head is not torchvision's "
            "there; choose a ResNet, ResNeXt, GoogLeNet or MobileNetV2"
        )


def check_local_files(network: AnyPublished, size: int, classes: int | None) -> None:
    """Refuse a published network whose local files are not there, or are not what its keys say, as far as is known.

    The images have `size` pixels and so many `classes`, if that is known. What is on the hub the import looks at.
    """
    if network.published.startswith(HUB):
        return
    place = Path(network.published)
    if not os.path.exists(place):
        raise AssayError(f"{place}: not found; published must name a folder, a file or hf-hub:OWNER/NAME")
    folder, file = (place, None) if place.is_dir() else (place.parent, place)
    if isinstance(network, PublishedDiffusion) and network.layout == "openai":
        if file is None:
            raise AssayError(f"{place}: layout openai is of one file; name it, such as {ONE_FILE}")
        weights = file
    elif isinstance(network, PublishedDiffusion):
        within = "unet/" if (folder / "unet" / CONFIG).is_file() else ""
        config = _require(place, folder, within + CONFIG)
        read_unet_config(config)
        _check_size(config, size)
        for scheduler in SCHEDULERS:
            if (folder / scheduler).is_file():
                read_scheduler(folder / scheduler, network)
        weights = _require(place, folder, *(within + name for name in UNET_WEIGHTS))
    elif isinstance(network, PublishedClassifier) and network.layout == "timm":
        told = read_timm_config(_require(place, folder, CONFIG), network)
        if fault := name_fault(told.network):
            raise AssayError(f"{folder / CONFIG}: {fault}")
        check_classes(network.published, told.classes, classes)
        weights = file or _require(place, folder, CLASSIFIER_WEIGHTS)
    elif isinstance(network, PublishedClassifier) and file is None:
        raise AssayError(f"{place}: layout {network.layout} is of one file; name it, such as {one_file(network)}")
    else:
        weights = file or _require(place, folder, CLASSIFIER_WEIGHTS)
    _check_header(weights)


def one_file(published: PublishedClassifier) -> str:
    """How a layout's file is called, or such a file."""
    bare = published.network.partition("/")[2]
    usual = {
        "tiatoolbox": f"{bare}-pcam.pth",
        "torchvision": f"{bare}-11ad3fa6.pth",
        "feature_denoising": f"{bare}.pytorch",
    }
    return usual.get(published.layout, "Standard.pt")


def check_classes(published: str, told: int | None, classes: int | None) -> None:
    """Refuse a classifier of another number of classes than the images', where both are known."""
    if None not in (told, classes) and told != classes:
        raise AssayError(f"{published}: tells {told} classes apart, the images have {classes}; choose another")


def _require(place: Path, folder: Path, *names: str) -> Path:
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise AssayError(f"{place}: has no {' or '.join(names)}; check published and, of a classifier, layout")
    return found


def _check_size(place: Path, size: int) -> None:
    """Refuse a U-Net that has no image size of its own, and cannot halve images of this one."""
    told = _read(UnetConfig, place, "a U-Net's config", "published")
    multiple = 2 ** (len(told.block_out_channels) - 1)
    if told.sample_size is None and size % multiple:
        raise AssayError(
            f"{place}: takes images whose sides are multiples of {multiple}, and images.size is {size}; name another "
            "diffusion, or change images.size"
        )


def _check_header(path: Path) -> None:
    """Refuse a file that does not begin as weights do."""
    with open(path, "rb") as file:
        head = file.read(HEADER_BYTES)
    begins = HEADERS.get(path.suffix, lambda head: head.startswith(TORCH_HEADERS))
    if not begins(head):
        raise AssayError(
            f"{path}: does not begin as weights do (is it a text, or a download that failed?); get it anew"
        )


def _read(kind: type[Told], place: Path, what: str, key: str) -> Told:
    try:
        return kind.model_validate(read_json(place))
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(map(str, fault["loc"])) or "all of it"
        wrong = f"'{name}' is missing" if fault["type"] == "missing" else f"{name}: {fault['msg']}"
        raise AssayError(f"{place}: not {what} ({' '.join(wrong.split())}); check {key}") from None
