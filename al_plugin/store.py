"""Reading and writing: whole files only, under a temporary name first, the same bytes every time.

What is read may be hostile: devices and what would not fit into memory are refused before they are read.
"""

import io
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from al_plugin.axes import Floats
from al_plugin.bounds import MEMORY, TEXT, memory_limited, room
from al_plugin.errors import AlError, DataError
from al_plugin.foreign import parsed
from al_plugin.schemas import refuse_newer

_TEMPORARY = ".writing"
# Bytes that a cell takes at least, whatever a file says: a column of one value repeated is stored in a few.
_CELL = 4


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


def read_bytes(path: str | Path, made_by: str, *, most: int = MEMORY) -> bytes:
    """Content of ``path``, at most ``most`` bytes; DataError saying what makes the file if it is not there."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
                raise DataError(f"{path} is a device", change="name a file")
            if status.st_size > most:
                raise DataError(f"{path} has {status.st_size:,} bytes, at most {most:,} are read", change=made_by)
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path} is not there", change=made_by) from None
    except IsADirectoryError as error:
        raise DataError(f"{path}: {error.strerror}", change=made_by) from None


def write_json(path: str | Path, value: Mapping[str, Any]) -> None:
    """JSON with sorted keys; NaN and infinity are refused, so write null."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, f"{text}\n".encode())


def read_json(path: str | Path, made_by: str) -> dict[str, Any]:
    """A JSON object, or DataError."""
    try:
        value = parsed(read_bytes(path, made_by, most=TEXT))
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
    """A parquet file, or DataError: also where it would unpack to more than its ``room``."""
    return table_of(read_bytes(path, made_by), str(path), made_by, columns=columns)


def table_of(content: bytes, where: str, made_by: str, *, columns: list[str] | None = None) -> pa.Table:
    """The same for a file in memory; ``where`` names it in messages."""
    most = room(len(content))
    try:
        # Not pq.read_table: it imports pyarrow.dataset and pandas, a fifth of a second per stage.
        file = pq.ParquetFile(pa.py_buffer(content))
        declared = _declared(file.metadata)
        if declared > most:
            raise DataError(f"{where} unpacks to {declared:,} bytes, at most {most:,} are read", change=made_by)
        with memory_limited(most):
            table = file.read(columns=columns)
            table.validate(full=True)
    except AlError:
        raise
    except MemoryError:
        raise DataError(f"{where} unpacks to more than {most:,} bytes", change=made_by) from None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(f"{where} is not a readable parquet file ({error})", change=made_by) from error
    refuse_newer((table.schema.metadata or {}).get(b"al.schema", b"").decode(errors="replace"), where)
    return table


def column_names(path: str | Path, made_by: str) -> dict[str, pa.DataType]:
    """Names and types of the columns of a parquet file, or DataError."""
    try:
        with open(path, "rb") as file:
            schema = pq.ParquetFile(file).schema_arrow
            return dict(zip(schema.names, schema.types, strict=True))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise DataError(f"{path} is not there", change=made_by) from None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(f"{path} is not a readable parquet file ({error})", change=made_by) from error


def _declared(metadata: pq.FileMetaData) -> int:
    """Bytes that all columns of a parquet file unpack to as it says, a cell counting four at least.

    Its columns are not asked one by one: where a broken file tells of more of them than it has, pyarrow aborts.
    """
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    return sum(max(group.total_byte_size, _CELL * group.num_rows * group.num_columns) for group in groups)


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
        # Not np.load, which would open an archive of arrays too. Mapping holds the header's shape against the size.
        array: Floats = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise DataError(f"{path} is not there", change=made_by) from None
    # A header is read as a Python literal: broken ones raise whatever they lead the parser to.
    except Exception as error:
        raise DataError(f"{path} is not a readable .npy file ({error})", change=made_by) from error
    return array


def read_tensors(path: str | Path, made_by: str) -> dict[str, np.ndarray]:
    """Arrays by name of a safetensors file, or DataError."""
    return tensors_of(read_bytes(path, made_by), str(path), made_by)


def tensors_of(content: bytes, where: str, made_by: str) -> dict[str, np.ndarray]:
    """The same for a file in memory; its header is bounded by safetensors, and must fit the file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors: dict[str, np.ndarray] = load(content)
    except (SafetensorError, ValueError, TypeError, KeyError, OverflowError) as error:  # KeyError: a type NumPy lacks
        raise DataError(f"{where} is not a safetensors file of NumPy's types ({error})", change=made_by) from error
    header = parsed(content[8 : 8 + int.from_bytes(content[:8], "little")])
    refuse_newer((header.get("__metadata__") or {}).get("al.schema"), where)
    return tensors


def csv_text(columns: Mapping[str, list[Any]]) -> bytes:
    """Numbers and texts by column as CSV, floats in their shortest exact form, texts quoted where they must be."""
    import csv

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue().encode()
