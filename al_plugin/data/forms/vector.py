"""Vectors: ready features, from column ``features`` or an array beside the part."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from al_plugin.axes import Floats
from al_plugin.data.arrow import column_of, numbers
from al_plugin.data.forms.part import Form, Part
from al_plugin.errors import DataError


def fit(parts: Sequence[Part]) -> Form:
    """The length that all vectors of the pool share, or DataError."""
    widths = {_width(part) for part in parts if part.table.num_rows}
    if len(widths) > 1:
        raise DataError(f"pool parts have features of different lengths: {sorted(widths)}")
    (width,) = widths
    return Form("vector", (width,), width)


def encode(form: Form, part: Part) -> Floats:
    """Vectors (n, D) float32, or DataError: another length, not finite."""
    if not part.table.num_rows:
        return np.empty((0, *form.shape), dtype=np.float32)
    values = features_of(part.table, part.where) if part.array is None else _from_array(part.array, part.where)
    if values.shape[1:] != form.shape:
        raise DataError(
            f"{part.where}: features have length {values.shape[1]}, those of the pool have {form.shape[0]}",
            change="compute them in the same way",
        )
    return values


def features_of(table: pa.Table, where: str) -> Floats:
    """Column ``features`` (lists of equal length) as float32 (N, D), or DataError."""
    column = column_of(table, "features", where).combine_chunks()
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    inside = column.type.value_type if any(is_kind(column.type) for is_kind in lists) else None
    if inside is None or not (pa.types.is_integer(inside) or pa.types.is_floating(inside)):
        raise DataError(f"{where}: features holds {column.type}", change="write lists of numbers of equal length")
    if len(column) == 0:
        return np.empty((0, 0), dtype=np.float32)
    flat = column.flatten()
    if column.null_count or flat.null_count or len(flat) % len(column):
        raise DataError(f"{where}: features has empty cells or lists of different lengths")
    if not pa.types.is_fixed_size_list(column.type) and len(np.unique(np.diff(numbers(column.offsets)))) > 1:
        raise DataError(f"{where}: features has lists of different lengths")
    return _finite(numbers(flat).reshape(len(column), -1), where)


def _width(part: Part) -> int:
    if part.array is not None:
        return int(part.array.shape[1])
    return int(features_of(part.table.slice(0, 1), part.where).shape[1])


def _from_array(array: np.ndarray, where: str) -> Floats:
    if array.dtype.kind not in "fiu":
        raise DataError(f"{where}: the array holds {array.dtype}", change="save an array of numbers")
    return _finite(array, where)


def _finite(array: np.ndarray, where: str) -> Floats:
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and told below
        values: Floats = array.astype(np.float32)
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{where}: {int(bad.sum())} rows of features are not finite, first row {first}",
            change="replace or drop those samples",
        )
    return values
