"""Cells of a table's columns as arrays: numbers or strings, and which are missing."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from al_plugin.axes import Floats
from al_plugin.data.arrow import numbers, strings
from al_plugin.data.forms.part import Part, first_ids
from al_plugin.errors import DataError

# Differences of two such numbers are finite in float32.
_LARGEST = 1e38
_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def is_number(kind: pa.DataType) -> bool:
    """Integers, floats, booleans, decimals, dates and timestamps."""
    tests = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_decimal,
        pa.types.is_date,
        pa.types.is_timestamp,
    )
    return any(test(kind) for test in tests)


def is_words(kind: pa.DataType) -> bool:
    """Strings, or a dictionary of strings or integers (a categorical)."""
    if pa.types.is_dictionary(kind):
        return is_words(kind.value_type) or bool(pa.types.is_integer(kind.value_type))
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def values(column: pa.ChunkedArray, name: str, part: Part) -> tuple[Floats, NDArray[np.bool_]]:
    """A numeric column as float64 (n,) and which cells are missing (null or NaN, there 0); or DataError.

    Dates and timestamps are days since 1970-01-01 UTC.
    """
    kind = column.type
    missing = _missing(column)
    if pa.types.is_null(kind):
        return np.zeros(len(column)), missing
    if not is_number(kind):
        raise _unsuitable(kind, name, part)
    days = 1
    if pa.types.is_date(kind):
        column = column.cast(pa.date32()).cast(pa.int32())
    elif pa.types.is_timestamp(kind):
        column, days = column.cast(pa.int64()), _DAY[kind.unit]
    elif pa.types.is_integer(kind):
        _refuse(_beyond(column, kind), "integers beyond 2^53", name, part)
    whole = column.cast(pa.float64(), safe=False).combine_chunks()
    found = np.frombuffer(whole.buffers()[1] or b"", dtype=np.float64, count=len(whole) + whole.offset)[whole.offset :]
    missing |= np.isnan(found) & ~missing
    cells = np.where(missing, 0, found) / days
    _refuse(~(np.abs(cells) <= _LARGEST), f"numbers that are infinite or beyond {_LARGEST:.0e}", name, part)
    return cells, missing


def categories(column: pa.ChunkedArray, name: str, part: Part) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """A categorical column as str (n,) and which cells are missing (None there); or DataError."""
    kind = column.type
    if not is_words(kind) and not pa.types.is_null(kind):
        raise _unsuitable(kind, name, part)
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    cells = strings(column.cast(pa.large_string()))
    return cells, np.array([cell is None for cell in cells], dtype=np.bool_)


def _missing(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    if not column.null_count:
        return np.zeros(len(column), dtype=np.bool_)
    missing: NDArray[np.bool_] = numbers(column.is_null().cast(pa.uint8())).astype(np.bool_)
    return missing


def _beyond(column: pa.ChunkedArray, kind: pa.DataType) -> NDArray[np.bool_]:
    """Integers that float64 would round."""
    if kind.bit_width < 64:
        return np.zeros(len(column), dtype=np.bool_)
    whole: np.ndarray = numbers(column.fill_null(0))
    beyond: NDArray[np.bool_] = (whole > 2**53) | (whole < (-(2**53) if pa.types.is_signed_integer(kind) else 0))
    return beyond


def _refuse(bad: NDArray[np.bool_], what: str, name: str, part: Part) -> None:
    if bad.any():
        rows = np.flatnonzero(bad)
        raise DataError(
            f"{part.where}: column {name} holds {len(rows)} {what}, first {first_ids(part, rows.tolist())}",
            change="replace those cells, or write an identifier as strings",
        )


def _unsuitable(kind: pa.DataType, name: str, part: Part) -> DataError:
    return DataError(
        f"{part.where}: column {name} holds {kind}",
        change="write numbers, booleans, dates or strings, or leave it out",
    )
