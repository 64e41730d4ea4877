"""Images as bytes: decoded files of one square size, or arrays as they are; uint8, channel by channel."""

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from al_plugin.data.arrow import strings
from al_plugin.data.forms.part import Form, Part, first_ids
from al_plugin.data.forms.picture import is_grey, pixels
from al_plugin.data.forms.uri import safe_uri
from al_plugin.errors import DataError

Bytes = NDArray[np.uint8]


def fit(parts: Sequence[Part], size: int) -> Form:
    """The shape all images of the pool get, or DataError.

    Files: one channel if all are grey, else three, and ``size`` pixels a side. Arrays keep theirs.
    """
    filled = [part for part in parts if part.table.num_rows]
    shapes = {_shape(part.array, part.where) for part in filled if part.array is not None}
    files = [part for part in filled if part.array is None]
    if files:
        grey = all(_each(part, row, content, is_grey) for part in files for row, content in contents(part))
        shapes.add((1 if grey else 3, size, size))
    if len(shapes) > 1:
        raise DataError(
            f"images of the pool have different shapes (channels, height, width): {sorted(shapes)}",
            change="write arrays of one size, or image files",
        )
    (shape,) = shapes
    return Form("image", shape, shape[0])


def encode(form: Form, part: Part) -> Bytes:
    """Images (n, channels * H * W) uint8, or DataError naming the sample that cannot be decoded."""
    channels, height, width = form.shape
    rows = part.table.num_rows
    if part.array is None:
        out: Bytes = np.empty((rows, channels, height, width), dtype=np.uint8)
        for row, content in contents(part):
            out[row] = _each(part, row, content, lambda held: pixels(held, channels, (width, height)))
        return out.reshape(rows, channels * height * width)
    if rows and _shape(part.array, part.where) != form.shape:
        raise DataError(
            f"{part.where}: images have shape {_shape(part.array, part.where)}, those of the pool {form.shape}",
            change="write images of the same height, width and channels",
        )
    images = part.array.reshape(rows, height, width, channels)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(rows, channels * height * width)


def _shape(array: np.ndarray, where: str) -> tuple[int, int, int]:
    if array.dtype != np.uint8:
        raise DataError(f"{where}: the array of images holds {array.dtype}", change="save uint8, 0 to 255")
    _, height, width, *rest = array.shape
    channels = rest[0] if rest else 1
    if height <= 4 < channels:
        raise DataError(
            f"{where}: the array of images has shape {array.shape}, channels before height and width",
            change="save (n, H, W, C)",
        )
    return channels, height, width


def contents(part: Part) -> Iterator[tuple[int, bytes]]:
    """Row and file content of every image."""
    if "image" not in part.table.column_names:
        yield from _files(part)
        return
    column = part.table.column("image")
    if pa.types.is_struct(column.type) and "bytes" in column.type.names:
        fields = column.combine_chunks()
        column = pa.chunked_array([fields.field("bytes")])
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise DataError(f"{part.where}: image holds {column.type}", change="write the bytes of image files")
    for row, cell in enumerate(column):
        content = cell.as_py()
        if not content:
            raise _error(part, row, "has no image")
        yield row, content


def _files(part: Part) -> Iterator[tuple[int, bytes]]:
    column = part.table.column("uri")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise DataError(f"{part.where}: uri holds {column.type}", change="write relative paths as strings")
    named = "sha256" in part.table.column_names
    promised = strings(part.table.column("sha256")) if named else [None] * len(column)
    for row, (uri, digest) in enumerate(zip(strings(column), promised, strict=True)):
        if not uri:
            raise _error(part, row, "has no uri")
        content = part.read(_each(part, row, uri, safe_uri))
        if digest and sha256(content).hexdigest() != str(digest).lower():
            raise _error(part, row, f"has an image {uri!r} that differs from its sha256")
        yield row, content


def _each(part: Part, row: int, held: Any, work: Callable[[Any], Any]) -> Any:
    """What ``work`` makes of one sample's cell; its DataError is told with the sample's id."""
    try:
        return work(held)
    except DataError as error:
        raise _error(part, row, error.found, error.change) from error


def _error(part: Part, row: int, found: str, change: str = "") -> DataError:
    return DataError(
        f"{part.where}: sample {first_ids(part, [row])} {found}",
        change=change or "replace the image or drop the sample",
    )
