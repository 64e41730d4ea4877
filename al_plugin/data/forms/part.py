"""The words of this package: a part as it was read, settings, and the form that turns parts into arrays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from al_plugin.errors import DataError


def _nothing_to_read(uri: str) -> bytes:
    raise DataError(f"{uri!r} cannot be read here", change="keep images in column image")


@dataclass(frozen=True)
class Part:
    """One pool part as the edge read it.

    ``where`` names it in messages. ``array`` is the .npy file beside the parquet file: (n, D)
    vectors, or (n, H, W) or (n, H, W, C) uint8 images. ``read`` gives the bytes of a uri, relative
    to the part's folder.
    """

    table: pa.Table
    where: str
    array: np.ndarray | None = None
    read: Callable[[str], bytes] = _nothing_to_read


@dataclass(frozen=True)
class Settings:
    """Section ``data`` of params.yaml.

    Images from files are resized to a square of ``image_size`` pixels; texts become
    ``text_features`` hashed n-grams.
    """

    image_size: int = 32
    text_features: int = 4096


@dataclass(frozen=True)
class Form:
    """How samples become numbers, fitted on the pool.

    ``shape`` of one sample: (D,) or (channels, H, W). ``groups`` features are standardised
    together: D groups of one in vectors and tables, one group in texts, one per channel in images
    (features lie channel by channel). ``details`` is JSON.
    """

    kind: str
    shape: tuple[int, ...]
    groups: int
    details: Mapping[str, Any] = field(default_factory=dict)


def first_ids(part: Part, rows: Sequence[int]) -> str:
    """The sample ids of the first three rows, for a message."""
    if "sample_id" not in part.table.column_names:
        return ", ".join(f"row {row}" for row in rows[:3])
    ids = part.table.column("sample_id")
    return ", ".join(str(ids[int(row)].as_py()) for row in rows[:3])
