"""Pool parts as files: a parquet file, an array beside it, and the images its uris name."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from al_plugin import store
from al_plugin.data.forms.form import kind_of
from al_plugin.data.forms.image import contents
from al_plugin.data.forms.part import Part, first_ids
from al_plugin.data.forms.picture import refuse_bomb
from al_plugin.data.forms.text import texts_of
from al_plugin.data.forms.uri import safe_uri
from al_plugin.errors import DataError

_CACHED = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")


def read_parts(folder: str, what: str, made_by: str) -> dict[str, Part]:
    """The parts of a folder by name, or DataError; ``what`` names them in messages."""
    tables = store.read_parts(folder, made_by)
    return {name: part_of(Path(folder), name, table, f"{what} {name}", made_by) for name, table in tables.items()}


def part_of(folder: Path, name: str, table: pa.Table, where: str, made_by: str) -> Part:
    """One part: its table, ``name``.npy where there is one, and a reader of files beneath the folder."""
    beside = folder / f"{name}.npy"
    array = store.read_array(beside, made_by) if beside.exists() else None

    def read(uri: str) -> bytes:
        path = folder / safe_uri(uri)
        if not _inside(path, folder):
            raise DataError(f"has uri {uri!r}, which is a link out of {folder}", change="put the file itself there")
        return store.read_bytes(path, f"put it into {folder}, or correct the uri")

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
    samples: list[Sample] = list(texts_of(part)) if kind == "text" else list(_bounded(part))
    return replace(part, array=encoded(made, samples))


def _bounded(part: Part) -> Iterator[bytes]:
    """The image files of a part, none of which is of another format or unpacks to too much."""
    for row, content in contents(part):
        try:
            refuse_bomb(content)
        except DataError as error:
            raise DataError(f"{part.where}: sample {first_ids(part, [row])} {error.found}") from error
        yield content


def _inside(path: Path, folder: Path) -> bool:
    """Whether a file lies below the folder, or in a cache of DVC's, which may put links in place of files."""
    real = path.resolve()
    return real.is_relative_to(folder.resolve()) or _CACHED.search(real.as_posix()) is not None
