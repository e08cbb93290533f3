"""An image file's bytes to pixels: the one way, for every data set that comes as image files."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from PIL import Image, ImageOps

from assay.files import AssayError

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")
# Those with 8 bits per channel. Grey becomes three equal channels; transparency is dropped.
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


def decode(content: bytes, name: str, size: int) -> np.ndarray:
    """The image of a file's bytes, uint8 (size, size, 3): upright, in RGB, its shorter side resized, its centre kept.

    The same as torchvision's Resize (PIL's bicubic filter with antialiasing) and CenterCrop.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.mode not in MODES:
                raise AssayError(f"{name}: has pixels of mode {image.mode}; convert it to RGB with 8 bits per channel")
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except AssayError:
        raise
    except Exception as error:  # PIL's decoders raise many kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise AssayError(f"{name}: cannot be read as an image ({reason}); replace it or take it out") from None
    width, height = upright.size
    shorter = min(width, height)
    resized = upright.resize((size * width // shorter, size * height // shorter), Image.Resampling.BICUBIC)
    left, top = (round((side - size) / 2) for side in resized.size)
    return np.array(resized.crop((left, top, left + size, top + size)))


def content_hash(content: bytes) -> str:
    """What tells a file's bytes from others: the first 16 hex digits of their SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]
