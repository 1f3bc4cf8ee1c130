"""Pictures from outside: an uploaded file becomes what the model will see, or is refused in one sentence."""

from __future__ import annotations

import base64
import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

# A closed list: Pillow would otherwise also try parsers that start other programs (EPS) or are hardly ever exercised.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF")
MAX_BYTES = 5 * 1024 * 1024
MAX_PIXELS = 25_000_000

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# One decoding at a time: it bounds the memory, and the warning filters set meanwhile belong to the whole process.
_decoding = threading.Lock()


class _Refused(ValueError):
    """A refusal in our own words, as opposed to whatever a parser raises on damaged bytes."""


@dataclass(frozen=True, eq=False)
class Upload:
    """A picture ready for the model, and one sentence on what was changed to make it so."""

    image: Tensor  # (1, C, S, S) float32 in [0, 1], whole multiples of 1/255
    notice: str


def decode_image(data: bytes, *, channels: int, size: int, invert: bool = False) -> Upload:
    """The bytes of a picture file -> `Upload` with an image of shape (1, channels, size, size); channels is 1 or 3.

    Turned upright by its orientation tag, cropped to the centre square, averaged over areas down to `size` (or enlarged
    bilinearly), rounded to 8 bits. Of an animation, the first frame. Colour profiles are ignored. Nothing is inverted
    unless `invert` says so (for dark ink on light paper; the models' digits are light on dark). Transparent parts are
    black to the model either way, as the digits' background is; a black drawing on nothing therefore needs `invert`.

    Raises ValueError, in one sentence, for anything else than a whole PNG, JPEG, GIF, BMP, WebP or TIFF picture of at
    most 5 MB and 25 megapixels, with 8- or 16-bit pixels. Pillow's warnings are silenced, never passed on.
    """
    _check_shape(channels, size)
    changes: list[str] = []
    with _decoding, warnings.catch_warnings(), _damage_refused():
        # Only Pillow's own, so that another thread's warnings are not lost meanwhile. It warns of odd metadata, which
        # is no matter here, and of pictures above its own pixel limit, which is looser than ours.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        picture = _crop(_upright_first_frame(data, changes), changes)
        picture = _flatten(picture, 255 if invert else 0, changes)
        pixels = _fit(picture, channels, size, changes)  # (C, S, S) uint8
    if invert:
        pixels = 255 - pixels
        changes.append("light and dark swapped")
    return Upload(torch.from_numpy(pixels).float().div(255)[None], _notice(changes, pixels))


def dark_on_light(image: Tensor) -> bool:
    """Whether the edge of a picture (1, C, S, S) in [0, 1] is light, and lighter than the rest: ink on paper."""
    edge = torch.ones(image.shape[-2:], dtype=torch.bool)
    edge[1:-1, 1:-1] = False
    around, inside = image[..., edge].mean(), image[..., ~edge].mean()
    return bool(around > 0.5) and bool(around > inside)


def pack_pixels(image: Tensor) -> str:
    """(1, C, S, S) in [0, 1] -> 8-bit pixels in URL-safe base64 without padding: 86 characters for 8 x 8 grey.

    Lossless for what `decode_image` returns. Raises ValueError for another shape or for values outside [0, 1].
    """
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[1] not in (1, 3) or image.shape[2] != image.shape[3]:
        raise ValueError(f"Only one square picture of 1 or 3 channels can be packed, not {tuple(image.shape)}.")
    if not bool(((image >= 0) & (image <= 1)).all()):  # also false for NaN
        raise ValueError("Only pixels between 0 and 1 can be packed.")
    pixels = image.detach().cpu().mul(255).round().to(torch.uint8)
    return base64.urlsafe_b64encode(pixels.numpy().tobytes()).rstrip(b"=").decode("ascii")


def unpack_pixels(text: str, *, channels: int, size: int) -> Tensor:
    """The inverse of `pack_pixels` -> (1, channels, size, size) float32 in [0, 1]. ValueError for any other text."""
    _check_shape(channels, size)
    length = -(-channels * size * size * 4 // 3)
    if len(text) != length:
        what = f"A packed picture of {channels} x {size} x {size} pixels"
        raise ValueError(f"{what} has {length} characters, not {len(text)}.")
    try:
        pixels = base64.b64decode(text + "=" * (-length % 4), altchars=b"-_", validate=True)
    except ValueError as error:  # also what non-ASCII text and wrong padding raise
        raise ValueError("A packed picture consists of the letters A-Z and a-z, digits, - and _ only.") from error
    # One picture has one text: reject the leftover bits, and the + and / that b64decode also takes.
    if base64.urlsafe_b64encode(pixels).rstrip(b"=") != text.encode("ascii"):
        raise ValueError("The packed picture was altered: its text is not one that packing gives.")
    values = torch.frombuffer(bytearray(pixels), dtype=torch.uint8)
    return values.float().div(255).reshape(1, channels, size, size)


def _check_shape(channels: int, size: int) -> None:
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 (grey) or 3 (colour), not {channels}.")
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, not {size}.")


@contextmanager
def _damage_refused() -> Iterator[None]:
    """Turns whatever a parser raises on damaged bytes into one sentence."""
    try:
        yield
    except _Refused:
        raise
    except UnidentifiedImageError as error:
        message = "The file is not a PNG, JPEG, GIF, BMP, WebP or TIFF picture, or its start is damaged."
        raise _Refused(message) from error
    except Image.DecompressionBombError as error:
        raise _Refused(f"The picture is too large: at most {MAX_PIXELS // 10**6} megapixels can be read.") from error
    except Exception as error:  # parsers of hostile bytes raise anything, from struct.error to KeyError
        raise _Refused("The picture is damaged or cut short.") from error


def _upright_first_frame(data: bytes, changes: list[str]) -> Image.Image:
    """The bytes -> the first frame, in the file's own mode; its declared size is checked before a pixel is decoded."""
    if not data:
        raise _Refused("The file is empty.")
    if len(data) > MAX_BYTES:
        raise _Refused(f"The file has {len(data):,} bytes; at most {MAX_BYTES // 2**20} MB can be read.")
    file = Image.open(io.BytesIO(data), formats=FORMATS)
    _check_pixels(*file.size)
    tags = getattr(file, "tag_v2", {})
    _check_pixels(tags.get(322, 1), tags.get(323, 1))  # a TIFF's tiles may be larger than itself, and are decoded whole
    if getattr(file, "is_animated", False):
        changes.append("only the first of several frames kept")
    picture: Image.Image = file
    orientation = file.getexif().get(ExifTags.Base.Orientation, 1)
    file.load()
    if orientation in _UPRIGHT:
        changes.append("turned upright")
        if file.format != "TIFF":  # Pillow turns those while loading
            picture = file.transpose(_UPRIGHT[orientation])
    return _eight_bit(picture, file, changes) if picture.mode.startswith("I;16") else picture


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 10**6
        raise _Refused(f"The picture has {width}x{height} pixels; at most {limit} megapixels can be read.")


def _eight_bit(picture: Image.Image, file: Image.Image, changes: list[str]) -> Image.Image:
    """16-bit greys (also 12 bits of them) -> "L", or "LA" where one grey is declared transparent."""
    tags = getattr(file, "tag_v2", {})  # of a TIFF
    white = 2 ** tags.get(258, (16,))[0] - 1  # bits per sample
    values = np.asarray(picture).astype(np.float32) / white
    if tags.get(262) == 0:  # "white is zero", which Pillow undoes for 8 bits but not for 16
        values = 1 - values
    grey = Image.fromarray(np.rint(255 * values.clip(0, 1)).astype(np.uint8))
    changes.append("16-bit greys rounded to 8 bits")
    key = file.info.get("transparency")
    if isinstance(key, int):
        grey.putalpha(Image.fromarray(np.where(np.asarray(picture) == key, 0, 255).astype(np.uint8)))
    return grey


def _crop(picture: Image.Image, changes: list[str]) -> Image.Image:
    """The largest centred square."""
    width, height = picture.size
    side = min(width, height)
    if width == height:
        return picture
    changes.append(f"cropped from {width}x{height} to the centre square")
    left, top = (width - side) // 2, (height - side) // 2
    return picture.crop((left, top, left + side, top + side))


def _flatten(picture: Image.Image, paper: int, changes: list[str]) -> Image.Image:
    """Any accepted mode -> "L" or "RGB", transparent parts laid on `paper` (0 to 255)."""
    if picture.mode in ("I", "F"):
        raise _Refused("The picture stores 32-bit or signed numbers, which have no set white: save it as an 8-bit PNG.")
    if picture.mode == "LAB":
        raise _Refused("The picture stores Lab colours, which cannot be read: save it as an RGB PNG.")
    if picture.mode in ("CMYK", "YCbCr"):
        changes.append(f"converted from {picture.mode}")
    if not picture.has_transparency_data:
        return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
    grey = picture.mode in ("1", "L", "LA")
    layer = picture.convert("RGBA")
    if layer.getchannel("A").getextrema() != (255, 255):
        changes.append("transparent parts made black")
    flat = Image.alpha_composite(Image.new("RGBA", layer.size, (paper, paper, paper, 255)), layer)
    return flat.convert("L" if grey else "RGB")


def _fit(picture: Image.Image, channels: int, size: int, changes: list[str]) -> np.ndarray:
    """A square "L" or "RGB" picture -> (channels, size, size) uint8."""
    side = picture.width
    if side != size:
        changes.append(f"{'reduced' if side > size else 'enlarged'} from {side}x{side} to {size}x{size}")
        # BOX averages over areas, without ringing; it would leave blocks of uneven width when enlarging.
        filter_ = Image.Resampling.BOX if side > size else Image.Resampling.BILINEAR
        picture = picture.resize((size, size), filter_)
    if channels == 1 and picture.mode == "RGB":
        if bool(np.ptp(np.asarray(picture), axis=2).any()):
            changes.append("colours turned to grey")
        picture = picture.convert("L")
    elif channels == 3:
        picture = picture.convert("RGB")
    pixels = np.asarray(picture, dtype=np.uint8).reshape(size, size, channels)
    return pixels.transpose(2, 0, 1).copy()  # Pillow's memory is read-only, which torch warns of


def _notice(changes: list[str], pixels: np.ndarray) -> str:
    """One sentence for the viewer."""
    blank = ", every pixel alike" if pixels.min() == pixels.max() else ""
    if not changes:
        return f"Shown unchanged, as the model sees it{blank}."
    text = ", ".join(changes)
    return f"{text[0].upper()}{text[1:]}; shown as the model sees it{blank}."
