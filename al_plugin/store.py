"""Reading and writing: whole files only, under a temporary name first, the same bytes every time."""

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from al_plugin.axes import Floats
from al_plugin.errors import DataError
from al_plugin.schemas import refuse_newer

_TEMPORARY = ".writing"


def write_bytes(path: str | Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one step: a reader sees the old file or the new one."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Hand out a temporary path beside ``path``; rename it over ``path`` when the block succeeds."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}{_TEMPORARY}")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def read_bytes(path: str | Path, made_by: str) -> bytes:
    """Content of ``path``; DataError saying what makes the file if it is not there."""
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise DataError(f"{path} is not there", change=made_by) from None


def write_json(path: str | Path, value: Mapping[str, Any]) -> None:
    """JSON with sorted keys; NaN and infinity are refused, so write null."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def read_json(path: str | Path, made_by: str) -> dict[str, Any]:
    """A JSON object, or DataError."""
    try:
        value = json.loads(read_bytes(path, made_by))
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error})", change=made_by) from error
    if not isinstance(value, dict):
        raise DataError(f"{path} is not a JSON object", change=made_by)
    refuse_newer(value.get("schema"), str(path))
    return value


def write_table(path: str | Path, table: pa.Table) -> None:
    """Parquet with fixed options (zstd 3, row groups of 100,000)."""
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", compression_level=3, row_group_size=100_000)


def read_table(path: str | Path, made_by: str, *, columns: list[str] | None = None) -> pa.Table:
    """A parquet file, or DataError."""
    try:
        # Not pq.read_table: it imports pyarrow.dataset and pandas, a fifth of a second per stage.
        table = pq.ParquetFile(pa.py_buffer(read_bytes(path, made_by))).read(columns=columns)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise DataError(f"{path} is not a readable parquet file ({error})", change=made_by) from error
    refuse_newer((table.schema.metadata or {}).get(b"al.schema", b"").decode(errors="replace"), str(path))
    return table


def read_parts(folder: str | Path, made_by: str) -> dict[str, pa.Table]:
    """Parquet files of a folder by stem, in name order; DataError if there is none."""
    paths = sorted(Path(folder).glob("*.parquet"))
    if not paths:
        raise DataError(f"{folder} holds no parquet file", change=made_by)
    return {path.stem: read_table(path, made_by) for path in paths}


def write_array(path: str | Path, array: np.ndarray) -> None:
    """A ``.npy`` file, C order, never pickled."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    write_bytes(path, buffer.getvalue())


def read_array(path: str | Path, made_by: str) -> Floats:
    """A ``.npy`` file opened by memory map, read-only, never unpickled; DataError otherwise."""
    try:
        array: Floats = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path} is not there", change=made_by) from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is not a readable .npy file ({error})", change=made_by) from error
    return array


def csv_text(columns: Mapping[str, list[Any]]) -> bytes:
    """Numbers and texts by column as CSV, floats in their shortest exact form, texts quoted where they must be."""
    import csv

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue().encode()
