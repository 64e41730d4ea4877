"""Pool parts as files: a parquet file, an array beside it, and the images its uris name."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from al_plugin import store
from al_plugin.data.forms.form import kind_of
from al_plugin.data.forms.image import contents
from al_plugin.data.forms.part import Part
from al_plugin.data.forms.text import texts_of
from al_plugin.data.forms.uri import safe_uri
from al_plugin.errors import DataError


def read_parts(folder: str, what: str, made_by: str) -> dict[str, Part]:
    """The parts of a folder by name, or DataError; ``what`` names them in messages."""
    tables = store.read_parts(folder, made_by)
    return {name: part_of(Path(folder), name, table, f"{what} {name}", made_by) for name, table in tables.items()}


def part_of(folder: Path, name: str, table: pa.Table, where: str, made_by: str) -> Part:
    """One part: its table, ``name``.npy where there is one, and a reader of files beneath the folder."""
    beside = folder / f"{name}.npy"
    array = store.read_array(beside, made_by) if beside.exists() else None

    def read(uri: str) -> bytes:
        return store.read_bytes(folder / safe_uri(uri), f"put it into {folder}, or correct the uri")

    return Part(table, where, array, read)


def embedded(part: Part, name: str, threads: int) -> Part:
    """The part with its array: what the frozen encoder ``name`` makes of its texts or images."""
    from al_plugin.cache import encoded
    from al_plugin.models.encoders import Sample, encoder

    made, kind = encoder(name, threads=threads), kind_of(part)
    if kind != made.wants or part.array is not None:
        raise DataError(
            f"{part.where} holds samples of kind {kind}, data.encoder {name} takes {made.wants}s",
            change="write a column text, or image files in column image or uri, or set data.encoder to null",
        )
    samples: list[Sample] = list(texts_of(part)) if kind == "text" else [content for _, content in contents(part)]
    return replace(part, array=encoded(made, samples))
