"""An image file's bytes to pixels: the one way, for every data set that comes as image files."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image, ImageOps

from assay.files import AssayError
from assay.study.images import FilesSource
from assay.study.preprocessing import Interpolation, Preprocessing

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
# Those with 8 bits per channel. Grey becomes three equal channels; transparency is dropped.
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
FILTERS: dict[Interpolation, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def decode(content: bytes, name: str, source: FilesSource) -> np.ndarray:
    """The image of a file's bytes, uint8 (size, size, 3), in RGB, resized and cropped as the source says.

    The same as torchvision's Resize (PIL's filters with antialiasing) and CenterCrop, as timm uses them too.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.mode not in MODES:
                raise AssayError(f"{name}: has pixels of mode {image.mode}; convert it to RGB with 8 bits per channel")
            found = (ImageOps.exif_transpose(image) if source.upright else image).convert("RGB")
    except AssayError:
        raise
    except Exception as error:  # PIL's decoders raise many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AssayError(f"{name}: cannot be read as an image ({reason}); replace it or take it out") from None
    preprocess, size = source.preprocess or Preprocessing(), source.size
    resized = found.resize(_sides(preprocess, size, found.size), FILTERS[preprocess.interpolation])
    left, top = (round((side - size) / 2) for side in resized.size)
    return np.array(resized.crop((left, top, left + size, top + size)))


def _sides(preprocess: Preprocessing, size: int, sides: tuple[int, int]) -> tuple[int, int]:
    """What an image of these sides, in pixels, is resized to before it is cropped."""
    goal = preprocess.resize or size
    if preprocess.mode == "squash":
        return goal, goal
    shorter = min(sides)
    return goal * sides[0] // shorter, goal * sides[1] // shorter


def content_hash(content: bytes) -> str:
    """What tells a file's bytes from others: the first 16 hex digits of their SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]
