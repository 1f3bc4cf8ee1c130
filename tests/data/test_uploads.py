"""Every picture is either shown as the model will see it, or refused in one sentence."""

import io
import random
import re
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from pursamere_viz.data.loading import load_images
from pursamere_viz.data.uploads import MAX_BYTES, Upload, dark_on_light, decode_image, unpack_pixels

RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4  # no symmetry: every turn shows
GREY = Image.fromarray(RAMP)
COLOUR = Image.merge("RGB", [GREY, GREY.rotate(90), GREY.rotate(180)])
DEEP = RAMP.astype(np.uint16) * 257  # the same greys in 16 bits
SENTENCE = r"^[A-Z][^\n]*[A-Za-z]\.$"
FORMATS = ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"]


def encoded(picture: Image.Image, format: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def pixels(data: bytes, channels: int = 1, size: int = 8, **options) -> np.ndarray:
    """What the model sees, as bytes: (H, W) for grey, (H, W, 3) for colour."""
    image = decode_image(data, channels=channels, size=size, **options).image
    return (image * 255).round().to(torch.uint8)[0].permute(1, 2, 0).numpy().squeeze()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def raw_png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that declares what we like and holds a thousand black bytes."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    tail = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + tail


def raw_tiff(payload: bytes, tags: dict[int, int]) -> bytes:
    """A little-endian TIFF with one directory; the payload lies where tag 324 or 273, given as 0, points."""
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1} | tags
    start = 8 + 2 + 12 * len(tags) + 4
    rows = (struct.pack("<HHII", tag, 4, 1, start if tag in (273, 324) else tags[tag]) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(rows) + bytes(4) + payload


def refusal(data: bytes) -> str:
    with pytest.raises(ValueError, match=SENTENCE) as caught:
        decode_image(data, channels=1, size=8)
    return str(caught.value)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_format_keeps_a_picture_of_the_right_size(format, channels):
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(format, {})
    picture = GREY if channels == 1 else COLOUR
    upload = decode_image(encoded(picture, format, **options), channels=channels, size=8)
    assert isinstance(upload, Upload)
    assert upload.image.shape == (1, channels, 8, 8)
    assert upload.image.dtype == torch.float32
    difference = pixels(encoded(picture, format, **options), channels).astype(int) - np.asarray(picture).astype(int)
    assert np.abs(difference).max() <= (3 if format == "JPEG" else 0)
    assert upload.notice == "Shown unchanged, as the model sees it."


def test_colour_models_get_grey_pictures_three_times():
    assert (pixels(encoded(GREY), channels=3) == RAMP[:, :, None]).all()


def test_cropping_and_reducing_average_areas_of_the_centre():
    wide = np.random.default_rng(0).integers(0, 256, (480, 640), dtype=np.uint8)
    upload = decode_image(encoded(Image.fromarray(wide)), channels=1, size=8)
    means = wide[:, 80:560].reshape(8, 60, 8, 60).mean(axis=(1, 3))
    assert np.abs(upload.image[0, 0].numpy() * 255 - means).max() <= 1
    assert "Cropped from 640x480 to the centre square, reduced from 480x480 to 8x8" in upload.notice
    assert upload.notice.endswith("; shown as the model sees it.")


@pytest.mark.parametrize("shape", [(9000, 1), (1, 9000), (1, 1), (3, 2)])
def test_extreme_shapes_are_cropped_and_enlarged(shape):
    upload = decode_image(encoded(Image.new("L", shape, 51)), channels=1, size=8)
    assert torch.allclose(upload.image, torch.full((1, 1, 8, 8), 0.2))
    assert "nlarged from" in upload.notice
    assert "every pixel alike" in upload.notice


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.fromarray(DEEP)),
        encoded(Image.fromarray(DEEP), "TIFF"),
        encoded(Image.fromarray(DEEP), "TIFF", compression="tiff_lzw"),
        encoded(Image.fromarray(DEEP.astype(">u2")), "TIFF"),
        encoded(Image.fromarray(65535 - DEEP), "TIFF", tiffinfo={262: 0}),  # white is zero
    ],
    ids=["png", "tiff", "lzw", "big-endian", "white-is-zero"],
)
def test_16_bit_greys_are_scaled_not_clipped(data):
    assert (pixels(data) == RAMP).all()
    assert "16-bit greys rounded to 8 bits" in decode_image(data, channels=1, size=8).notice


def test_12_bit_greys_are_scaled_by_their_own_white():
    tiff = raw_tiff(bytes.fromhex("ffffff800800000fff") + bytes(87), {258: 12, 273: 0, 279: 96})
    assert pixels(tiff)[0, :6].tolist() == [255, 255, 128, 128, 0, 255]  # fff fff 800 800 000 fff


def test_transparent_parts_become_black_with_and_without_inversion():
    ink = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    ink.paste((10, 10, 10, 255), (2, 2, 5, 6))
    for picture in (ink, ink.convert("LA"), ink.quantize(4)):
        seen = pixels(encoded(picture))
        assert seen[0, 0] == 0
        assert seen[3, 3] == 10
        seen = pixels(encoded(picture), invert=True)
        assert seen[0, 0] == 0
        assert seen[3, 3] == 245
    notice = decode_image(encoded(ink), channels=1, size=8, invert=True).notice
    assert notice == "Transparent parts made black, light and dark swapped; shown as the model sees it."
    assert "ransparent" not in decode_image(encoded(GREY.convert("RGBA")), channels=1, size=8).notice
    assert pixels(encoded(Image.new("LA", (8, 8), (200, 128))))[0, 0] == 100  # 200 * 128 / 255


def test_a_transparent_grey_of_16_bits_becomes_black():
    seen = pixels(encoded(Image.fromarray(DEEP), transparency=int(DEEP[3, 4])))
    expected = RAMP.copy()
    expected[3, 4] = 0
    assert (seen == expected).all()


def test_dark_drawings_are_inverted_only_on_request():
    assert (pixels(encoded(GREY)) == RAMP).all()
    assert (pixels(encoded(GREY), invert=True) == 255 - RAMP).all()


def test_palettes_bits_and_print_colours():
    assert (pixels(encoded(GREY.convert("P"))) == RAMP).all()
    assert (pixels(encoded(COLOUR.convert("P")), channels=3) == np.asarray(COLOUR.convert("P").convert("RGB"))).all()
    assert (pixels(encoded(GREY.convert("1", dither=0))) == np.where(RAMP >= 128, 255, 0)).all()
    for format in ("JPEG", "TIFF"):
        ink = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), format)
        assert np.abs(pixels(ink, channels=3).astype(int) - (255, 0, 0)).max() <= 2
        assert "Converted from CMYK" in decode_image(ink, channels=3, size=8).notice


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_shown(format):
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(GREY.convert("RGB"), format, save_all=True, append_images=[Image.new("RGB", (8, 8))], **options)
    assert (pixels(data) == RAMP).all()
    assert "nly the first of several frames kept" in decode_image(data, channels=1, size=8).notice


@pytest.mark.parametrize(
    ("format", "compression"), [("PNG", None), ("WEBP", None), ("JPEG", None), ("TIFF", None), ("TIFF", "tiff_lzw")]
)
def test_orientation_tags_are_obeyed(format, compression):
    expected = [RAMP, RAMP[:, ::-1], RAMP[::-1, ::-1], RAMP[::-1], RAMP.T, np.rot90(RAMP, -1), np.rot90(RAMP, 2).T]
    expected.append(np.rot90(RAMP))
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100}}.get(format, {"compression": compression})
    for tag, picture in enumerate(expected, start=1):
        exif = Image.Exif()
        exif[0x0112] = tag
        data = encoded(GREY, format, exif=exif, **options)
        assert np.abs(pixels(data).astype(int) - picture).max() <= (3 if format == "JPEG" else 0), tag
        assert ("urned upright" in decode_image(data, channels=1, size=8).notice) == (tag > 1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello", "not a PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not a PNG"),
        (encoded(GREY, "PPM"), "not a PNG"),
        (encoded(GREY, "ICO"), "not a PNG"),
        (raw_png(0, 8), "not a PNG"),
        (bytes(MAX_BYTES + 1), "at most 5 MB"),
        (raw_png(60000, 60000), "25 megapixels"),
        (raw_png(12000, 12000), "12000x12000"),  # here Pillow only warns
        (raw_png(5001, 5000), "5001x5000"),
        (raw_png(5000, 5000), "cut short"),  # a size that is allowed, without the pixels
        (raw_png(8, 8, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(9_000_000)))), "damaged"),
        (raw_png(8, 8, chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(9_000_000)))), "damaged"),
        (raw_tiff(zlib.compress(bytes(1000)), {259: 8, 322: 16000, 323: 16000, 324: 0, 325: 20}), "16000x16000"),
        (encoded(Image.new("F", (8, 8), 0.5), "TIFF"), "32-bit"),
        (encoded(Image.new("I", (8, 8), 70000), "TIFF"), "32-bit"),
        (encoded(Image.new("LAB", (8, 8)), "TIFF"), "Lab"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_shown_is_refused(data, reason):
    assert reason in refusal(data)


@pytest.mark.parametrize("format", FORMATS)
def test_truncated_files_are_refused(format):
    data = encoded(COLOUR.resize((64, 64)), format)
    for length in [1, 8, 30, len(data) // 4, len(data) // 2, len(data) * 3 // 4, len(data) - 30]:
        refusal(data[:length])


def test_corrupted_files_are_shown_or_refused_and_nothing_else():
    rng = random.Random(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [encoded(COLOUR.resize((32, 24)), format, exif=exif) for format in ("PNG", "JPEG", "WEBP", "TIFF")]
    files += [encoded(COLOUR.resize((32, 24)), format) for format in ("GIF", "BMP")]
    files += [encoded(COLOUR, "TIFF", compression="tiff_lzw"), encoded(Image.fromarray(DEEP))]
    files += [encoded(COLOUR, f, save_all=True, append_images=[COLOUR.rotate(90)]) for f in ("GIF", "PNG", "WEBP")]
    outcomes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(2200):
            data = bytearray(files[number % len(files)])
            reach = len(data) if number % 2 else min(len(data), 120)  # every other one near the start, in the headers
            for _ in range(rng.choice([1, 3, 20])):
                data[rng.randrange(reach)] = rng.choice([0, 255, rng.randrange(256)])
            try:
                upload = decode_image(bytes(data), channels=3, size=8)
            except ValueError as error:
                outcomes.append(str(error))
            else:
                outcomes.append("Shown.")
                assert upload.image.shape == (1, 3, 8, 8)
                assert bool(((upload.image >= 0) & (upload.image <= 1)).all())
    assert all(re.fullmatch(SENTENCE, outcome) for outcome in outcomes)
    assert 400 < outcomes.count("Shown.") < 1800  # both outcomes are really exercised
    assert [str(warning.message) for warning in caught] == []


def test_sessions_decode_side_by_side_and_leave_the_warning_filters_alone():
    before = list(warnings.filters)
    data, seen = encoded(COLOUR.resize((300, 300))), []
    threads = [threading.Thread(target=lambda: seen.append(pixels(data))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert all((picture == seen[0]).all() for picture in seen)
    assert warnings.filters == before


@pytest.mark.parametrize(("channels", "size"), [(0, 8), (2, 8), (4, 8), (1, 0), (3, -1)])
def test_impossible_shapes_are_named(channels, size):
    with pytest.raises(ValueError, match=r"channels must|size must"):
        decode_image(encoded(GREY), channels=channels, size=size)
    with pytest.raises(ValueError, match=r"channels must|size must"):
        unpack_pixels("AAAA", channels=channels, size=size)


def test_what_is_dark_on_light() -> None:
    ink = torch.zeros(1, 1, 8, 8)
    ink[..., 2:6, 3:5] = 0.9
    assert dark_on_light(1 - ink) and not dark_on_light(ink)
    assert not dark_on_light(torch.ones(1, 1, 8, 8)) and not dark_on_light(torch.zeros(1, 1, 8, 8))
    x, _ = load_images("digits", "test")
    assert not any(dark_on_light(image[None]) for image in x) and all(dark_on_light(1 - image[None]) for image in x)
