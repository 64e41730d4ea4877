"""Files that say little and take much, and a child process that reads one and tells what it took.

`python bombs.py READER FILE` prints what the reader said and by how many MB the process grew.
"""

import resource
import struct
import sys
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def long_values(path: Path) -> None:
    """Eleven strings of 100 MB in a file of some KB."""
    table = pa.table({"sample_id": ["x" * 100_000_000]})
    with pq.ParquetWriter(
        path, table.schema, compression="zstd", use_dictionary=False, write_statistics=False
    ) as writer:
        for _ in range(11):
            writer.write_table(table)


def one_value_repeated(path: Path) -> None:
    """A string of 20 MB, stored once and repeated 10,000 times: 200 GB, of which the file says 20 MB."""
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["x" * 20_000_000]))
    options = {"dictionary_pagesize_limit": 1 << 30, "store_schema": False, "write_statistics": False}
    pq.write_table(pa.table({"sample_id": repeated}), path, compression="zstd", **options)


def many_rows(path: Path) -> None:
    """300 million zeros."""
    table = pa.table({"sample_id": pa.array([0] * 1_000_000, pa.int64())})
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(300):
            writer.write_table(table)


def npy_of_a_trillion_rows(path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 8), }"
    header += b" " * (117 - len(header)) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64))


def safetensors_header_of_2_gb(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2 << 30) + b'{"x":' + bytes(64))


def safetensors_tensor_of_8_tb(path: Path) -> None:
    header = b'{"x":{"dtype":"F64","shape":[1000000000000],"data_offsets":[0,8000000000000]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))


def png_of_50000_pixels(path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    size = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(20_000_000), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def labels_of_10_gb(path: Path) -> None:
    """A file with a hole, which takes no place on disk."""
    with open(path, "wb") as file:
        file.write(b"query_id,sample_id,label\n")
        file.truncate(10 << 30)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


# Reader and the MB by which reading may grow the process.
BOMBS = {
    long_values: ("table", 200),
    one_value_repeated: ("table", 2500),
    many_rows: ("table", 200),
    npy_of_a_trillion_rows: ("array", 50),
    safetensors_header_of_2_gb: ("tensors", 50),
    safetensors_tensor_of_8_tb: ("tensors", 50),
    png_of_50000_pixels: ("picture", 100),
    labels_of_10_gb: ("labels", 50),
    endless: ("json", 50),
}


def main() -> None:
    from al_plugin import store
    from al_plugin.bounds import TEXT
    from al_plugin.data.answers import read_sheet
    from al_plugin.data.forms.picture import is_grey, pixels
    from al_plugin.errors import AlError

    readers = {
        "table": lambda path: store.read_table(path, "write it again"),
        "array": lambda path: store.read_array(path, "write it again"),
        "tensors": lambda path: store.read_tensors(path, "write it again"),
        "picture": lambda path: (is_grey(path.read_bytes()), pixels(path.read_bytes(), 3, (32, 32))),
        "labels": lambda path: read_sheet(store.read_bytes(path, "x", most=TEXT), "x"),
        "json": lambda path: store.read_json(path, "write it again"),
    }
    import safetensors.numpy  # noqa: F401

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        readers[sys.argv[1]](Path(sys.argv[2]))
        said = "READ"
    except AlError as error:
        said = f"refused: {error}"
    print(said)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)


if __name__ == "__main__":
    main()
