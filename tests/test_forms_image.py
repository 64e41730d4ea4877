"""Images: decoding beside Pillow, what is broken, where files lie."""

import io
import zlib
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from test_forms import part, png, refused

from al_plugin.data.forms import form as forms
from al_plugin.data.forms import picture
from al_plugin.data.forms.form import Form, Part, Settings
from al_plugin.errors import DataError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 8), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def encoded(*contents: bytes, size: int = 4, channels: int | None = None) -> np.ndarray:
    """(n, channels, size, size)"""
    held = part(image=pa.array(contents))
    form = forms.fit([held], Settings(image_size=size)) if channels is None else square(channels, size)
    return forms.encode(form, held).reshape(len(contents), *form.shape)


def square(channels: int, size: int) -> Form:
    return Form("image", (channels, size, size), channels)


def plain(content: bytes, mode: str, size: int) -> np.ndarray:
    """What Pillow says: (H, W) or (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(content)).convert(mode).resize((size, size), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("JPEG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("PPM", {})])  # fmt: skip
@pytest.mark.parametrize("size", [3, 4, 16])
def test_files_beside_pillow(kind: str, options: dict, size: int) -> None:
    grey, colour = saved(Image.fromarray(GREY), kind, **options), saved(Image.fromarray(COLOUR), kind, **options)
    rows = encoded(grey, colour, size=size)
    for row, content in zip(rows, (grey, colour), strict=True):
        np.testing.assert_array_equal(row.transpose(1, 2, 0), plain(content, "RGB", size))
    np.testing.assert_array_equal(encoded(colour, size=size, channels=1)[0, 0], plain(colour, "L", size))


def test_shrinking_takes_all_pixels_into_account() -> None:
    """A fine checkerboard becomes even grey: without antialiasing it would not."""
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    rows = encoded(png(board.astype(np.uint8)), size=8)
    assert np.abs(rows.astype(int) - 127).max() <= 2


def test_one_channel_if_all_are_grey() -> None:
    palette = Image.fromarray(np.repeat(GREY[..., None], 3, axis=2)).convert("P", palette=Image.Palette.ADAPTIVE)
    greys = [
        png(GREY),
        saved(Image.fromarray(GREY).convert("1")),
        saved(Image.fromarray(GREY).convert("LA")),
        saved(palette),
    ]
    assert encoded(*greys).shape == (4, 1, 4, 4)
    coloured = [
        png(COLOUR),
        saved(Image.fromarray(COLOUR).convert("P"), "GIF"),
        saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
    ]
    for content in coloured:
        assert encoded(*greys, content).shape == (5, 3, 4, 4)


def test_transparent_pixels_lie_over_white() -> None:
    alpha = np.dstack([np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 0, np.uint8)])
    alpha[:2, :, 3] = 255
    expected = np.repeat([[0], [0], [255], [255]], 4, axis=1)
    for mode in ("RGBA", "LA", "PA"):
        image = Image.fromarray(alpha) if mode == "RGBA" else Image.fromarray(alpha).convert("LA")
        content = saved(image.convert(mode) if mode == "LA" else image)
        for plane in encoded(content)[0]:
            np.testing.assert_array_equal(plane, expected)
    key = saved(Image.fromarray(np.zeros((4, 4), np.uint8)), transparency=0)
    assert (encoded(key) == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_respected(orientation: int) -> None:
    image = Image.fromarray(np.kron(np.array([[0, 90], [180, 255]], np.uint8), np.ones((8, 8), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: np.transpose, 6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(a, 2).T, 8: np.rot90,
    }[orientation]  # fmt: skip
    np.testing.assert_array_equal(encoded(saved(image, exif=exif), size=16)[0, 0], turn(np.asarray(image)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str) -> None:
    deep = np.array([[0, 128, 129, 257], [300, 1000, 32768, 65535]] * 2, dtype=np.uint16)
    np.testing.assert_array_equal(encoded(saved(Image.fromarray(deep), kind))[0, 0], np.round(deep / 257))


def test_the_first_frame_counts() -> None:
    frames = [Image.new("L", (4, 4), value) for value in (50, 200)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (encoded(content) == 50).all()


def huge_png() -> bytes:
    """A header that promises 60,000 x 60,000 pixels."""
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    start = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    return start + png(GREY)[33:]


CUT = (png(GREY), saved(Image.fromarray(COLOUR), "JPEG"), saved(Image.fromarray(GREY), "GIF"))
NOISE = RNG.integers(0, 256, (64, 64), dtype=np.uint8)
BROKEN = {
    "no image": b"hello",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "truncated png": png(NOISE)[:2000],
    "truncated jpeg": saved(Image.fromarray(NOISE), "JPEG")[:1500],
    "header only": png(NOISE)[:33],
    "wrong checksum": png(NOISE)[:60] + b"\0\0\0\0" + png(NOISE)[64:],
    "bomb": huge_png(),
    "floats": saved(Image.fromarray(GREY.astype(np.float32)), "TIFF"),
    "32 bits": saved(Image.fromarray(GREY.astype(np.int32) << 16), "TIFF"),
    "empty": b"",
    "null": None,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_images_name_their_sample(name: str) -> None:
    held = part(image=pa.array([png(GREY), BROKEN[name]], pa.binary()))
    refused(lambda: forms.encode(forms.fit([held], Settings()), held), "pool part p: sample s1 ")


def test_any_cut_of_a_file_is_one_line() -> None:
    told = 0
    for content in CUT:
        for end in range(1, len(content), 7):
            held = part(image=pa.array([content[:end]]))
            try:
                forms.encode(forms.fit([held], Settings()), held)
            except DataError as error:
                told += "\n" not in str(error)
            else:
                told += end > len(content) - 20  # only what follows the last row of pixels is cut off
    assert told == sum(len(range(1, len(c), 7)) for c in CUT)


@pytest.mark.parametrize("kind", ["EPS", "ICNS", "TGA"])
def test_other_formats_are_not_even_tried(kind: str) -> None:
    content = saved(Image.new("RGB", (16, 16)), kind)
    assert Image.open(io.BytesIO(content)).format == kind
    refused(lambda: encoded(content), "sample s0 is no image of PNG")


def test_the_bound_on_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "MAX_PIXELS", 47)
    refused(lambda: encoded(png(GREY)), "8 x 6 pixels")
    monkeypatch.setattr(picture, "MAX_PIXELS", 48)
    encoded(png(GREY))


def test_structs_of_hugging_face() -> None:
    contents = [png(GREY), png(COLOUR)]
    structs = pa.array([{"bytes": content, "path": "a.png"} for content in contents])
    held = part(image=structs)
    form = forms.fit([held], Settings(image_size=4))
    np.testing.assert_array_equal(forms.encode(form, held), encoded(*contents).reshape(2, -1))
    sliced = Part(held.table.slice(1), "p")
    np.testing.assert_array_equal(forms.encode(form, sliced), encoded(*contents).reshape(2, -1)[1:])
    for cell in ({"bytes": None, "path": "a.png"}, None):
        refused(
            lambda cell=cell: forms.fit([part(image=pa.array([cell], structs.type))], Settings()), "s0 has no image"
        )
    refused(lambda: forms.fit([part(image=["a.png"])], Settings()), "image holds string")


def test_files_are_read_by_uri() -> None:
    files = {"a/1.png": png(GREY), "a/2.png": png(COLOUR)}
    table = pa.table({"sample_id": ["x", "y"], "uri": ["a/1.png", "./a/2.png"]})
    held = Part(table, "pool part p", read=files.__getitem__)
    form = forms.fit([held], Settings(image_size=4))
    np.testing.assert_array_equal(forms.encode(form, held).reshape(2, 3, 4, 4), encoded(*files.values()))
    digests = [sha256(content).hexdigest() for content in files.values()]
    for column in (digests, [digests[0].upper(), None]):
        forms.encode(form, Part(table.append_column("sha256", pa.array(column)), "p", read=files.__getitem__))
    wrong = Part(table.append_column("sha256", pa.array(digests[::-1])), "p", read=files.__getitem__)
    refused(lambda: forms.encode(form, wrong), "p: sample x", "differs from its sha256")


@pytest.mark.parametrize("uri", ["../a.png", "/a.png", "", None, "http://h/a.png"])
def test_uris_outside_are_never_read(uri: str | None) -> None:
    held = Part(
        pa.table({"sample_id": ["x"], "uri": pa.array([uri], pa.string())}), "p", read=lambda _: pytest.fail("read")
    )
    refused(lambda: forms.fit([held], Settings()), "p: sample x has")


def test_without_a_reader_nothing_is_read() -> None:
    refused(lambda: forms.fit([part(uri=["a.png"])], Settings()), "a.png")


def test_arrays_keep_their_size_and_lie_channel_by_channel() -> None:
    images = RNG.integers(0, 256, (2, 3, 5, 3), dtype=np.uint8)
    held = part(array=images)
    form = forms.fit([held], Settings(image_size=32))
    assert (form.shape, form.groups) == ((3, 3, 5), 3)
    np.testing.assert_array_equal(forms.encode(form, held).reshape(2, 3, 3, 5), np.moveaxis(images, 3, 1))
    grey = part(array=images[..., 0])
    assert forms.fit([grey], Settings()).shape == (1, 3, 5)
    np.testing.assert_array_equal(forms.encode(Form("image", (1, 3, 5), 1), grey), images[..., 0].reshape(2, -1))
    refused(lambda: forms.encode(form, grey), "(1, 3, 5)", "(3, 3, 5)")
    refused(lambda: forms.fit([held, grey], Settings()), "different shapes")
    refused(lambda: forms.fit([part(array=images / 255)], Settings()), "float64", "uint8")
    refused(
        lambda: forms.fit([part(array=np.moveaxis(np.zeros((2, 32, 32, 3), np.uint8), 3, 1))], Settings()),
        "(n, H, W, C)",
    )


def test_settings_of_pillow_stay_as_they_are() -> None:
    before = Image.MAX_IMAGE_PIXELS
    refused(lambda: encoded(huge_png()), "sample s0")
    assert before == Image.MAX_IMAGE_PIXELS
