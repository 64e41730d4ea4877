"""Between Arrow columns and arrays without pandas, which pyarrow's own conversions import (0.2 s)."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from al_plugin.errors import DataError


def numbers(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A numeric column without nulls as an array, shape (N,), shared where possible."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    array: np.ndarray = np.from_dlpack(whole) if len(whole) else np.empty(0)
    return array


def strings(column: pa.Array | pa.ChunkedArray) -> NDArray[np.object_]:
    """A text column as an array of str, shape (N,)."""
    return np.array(column.to_pylist(), dtype=object)


def number_column(values: np.ndarray) -> pa.Array:
    """An array (N,) of numbers or booleans as an Arrow column without nulls."""
    if values.dtype == np.bool_:
        bits = np.packbits(values, bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits.tobytes())])
    content = pa.py_buffer(np.ascontiguousarray(values).tobytes())
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, content])


def string_column(values: Sequence[str] | NDArray[np.object_]) -> pa.Array:
    """Texts as an Arrow column without nulls."""
    encoded = [str(value).encode() for value in values]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int32)
    np.cumsum([len(value) for value in encoded], out=offsets[1:])
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"".join(encoded)))


def null_column(kind: pa.DataType, rows: int) -> pa.Array:
    """A column of nulls."""
    width = 4 if kind == pa.string() else kind.bit_width // 8
    missing = pa.py_buffer(bytes((rows + 7) // 8))
    buffers = [missing, pa.py_buffer(bytes(width * (rows + 1)))]
    return pa.Array.from_buffers(kind, rows, [*buffers, pa.py_buffer(b"")] if kind == pa.string() else buffers)


def column_of(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    """A column by name, or DataError."""
    if name not in table.column_names:
        raise DataError(
            f"{where}: column {name} is missing, found {', '.join(table.column_names) or 'none'}",
            change=f"write a parquet file with a column {name}",
        )
    return table.column(name)
