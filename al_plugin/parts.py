"""Pool parts as files: a parquet file, an array beside it, and the images its uris name."""

from pathlib import Path

import pyarrow as pa

from al_plugin import store
from al_plugin.data.forms.part import Part
from al_plugin.data.forms.uri import safe_uri


def read_parts(folder: str, what: str, made_by: str, encoder: str | None = None) -> dict[str, Part]:
    """The parts of a folder by name, or DataError; ``what`` names them in messages.

    With an ``encoder`` each part's array is what that frozen network makes of its texts or images.
    """
    tables = store.read_parts(folder, made_by)
    parts = {name: part_of(Path(folder), name, table, f"{what} {name}", made_by) for name, table in tables.items()}
    return parts if encoder is None else {name: embedded(part, encoder) for name, part in parts.items()}


def part_of(folder: Path, name: str, table: pa.Table, where: str, made_by: str) -> Part:
    """One part: its table, ``name``.npy where there is one, and a reader of files beneath the folder."""
    beside = folder / f"{name}.npy"
    array = store.read_array(beside, made_by) if beside.exists() else None

    def read(uri: str) -> bytes:
        return store.read_bytes(folder / safe_uri(uri), f"put it into {folder}, or correct the uri")

    return Part(table, where, array, read)


def embedded(part: Part, encoder: str) -> Part:
    """The part with the encoder's embeddings as its array."""
    raise NotImplementedError(encoder)
