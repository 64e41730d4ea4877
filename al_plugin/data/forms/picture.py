"""One image file as an array. The only door to Pillow, which is imported when the first image comes."""

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_plugin.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

# Formats whose decoders run inside Pillow; EPS, for one, would start another program.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
# A larger image is a mistake or an attack: 64 million pixels are 192 MB once decoded.
MAX_PIXELS = 1 << 26
_GREY = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def refuse_bomb(content: bytes) -> None:
    """DataError unless the file's header is that of an image of a known format and of bounded size."""
    _opened(content)


def is_grey(content: bytes) -> bool:
    """Whether the file holds grey values only, by its header; DataError if it is no image."""
    image = _opened(content)
    if image.mode in ("P", "PA"):
        return bool((np.ptp(pixels(content, 3, image.size), axis=0) == 0).all())
    return image.mode in _GREY


def pixels(content: bytes, channels: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The image (channels, H, W) uint8, ``size`` being (width, height); or DataError.

    First frame, turned as its EXIF orientation says; what is transparent lies over white; 16 bits
    are scaled to 8; colours become luma (ITU-R 601) for one channel. Resized bilinearly with
    antialiasing, sides without regard to their ratio.
    """
    from PIL import Image, ImageOps

    image = _opened(content)
    try:
        image.load()
        image = _eight_bits(ImageOps.exif_transpose(image))
        if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
            seen = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen)
        image = image.convert("L" if channels == 1 else "RGB").resize(size, Image.Resampling.BILINEAR)
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever broken bytes lead them to
        raise DataError(f"is a broken image ({_said(error)})") from error
    array: NDArray[np.uint8] = np.asarray(image, dtype=np.uint8).reshape(size[1], size[0], channels)
    return array.transpose(2, 0, 1)


def _opened(content: bytes) -> "Image":
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the bound below is lower than the one Pillow warns of
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise DataError(f"is no image of {', '.join(_FORMATS)}") from error
    except Exception as error:
        raise DataError(f"is a broken image ({_said(error)})") from error
    if image.width * image.height > MAX_PIXELS:
        raise DataError(f"has an image of {image.width} x {image.height} pixels, more than {MAX_PIXELS}")
    return image


def _eight_bits(image: "Image") -> "Image":
    """16-bit grey scaled to 8 bits, which Pillow's own conversion would clip."""
    from PIL import Image

    if image.mode == "F":
        raise DataError("is an image of floats, whose range is unknown")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65_535:
        raise DataError("is an image of more than 16 bits")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
