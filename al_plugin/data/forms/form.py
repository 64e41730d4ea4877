"""From pool parts of any kind to arrays: which kind a part is, fit on the pool, encode a part."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from al_plugin.data.forms import image, table, text, vector
from al_plugin.data.forms.part import Form, Part, Settings
from al_plugin.errors import DataError
from al_plugin.schemas import refuse_newer, schema

__all__ = ["Form", "Part", "Settings", "encode", "encode_all", "fit", "from_json", "kind_of", "to_json"]

SCHEMA = schema("form")
KINDS = ("vector", "text", "table", "image")
# Columns that are never features of a table; pandas keeps its index under the second pattern.
RESERVED = frozenset(
    ("sample_id", "label", "group_id", "cost", "uri", "sha256", "image", "text", "features"),
)
_INDEX = re.compile(r"__index_level_\d+__")


def kind_of(part: Part) -> str:
    """``vector``, ``text``, ``image`` or ``table``, or DataError.

    An array beside the part decides by its dimensions, whatever columns there are for people to
    read; then column ``features``, ``text``, ``image`` or ``uri``; any other columns are a table.
    """
    columns = part.table.column_names
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(f"{part.where}: column {twice[0]} stands twice", change="rename one of them")
    if part.array is not None:
        return _kind_of_array(part, part.array)
    if "features" in columns:
        return "vector"
    if "text" in columns:
        return "text"
    if "image" in columns or "uri" in columns:
        return "image"
    if not feature_columns(columns):
        raise DataError(
            f"{part.where}: no column to learn from, found {', '.join(columns) or 'none'}",
            change="write a column features, text, image or uri, or the columns of a table",
        )
    return "table"


def fit(parts: Sequence[Part], settings: Settings) -> Form:
    """How the samples of a pool become numbers, or DataError where parts do not agree."""
    if not any(part.table.num_rows for part in parts):
        raise DataError("the pool is empty", change="add a part with at least one sample to data/pool")
    first = parts[0]
    kind = kind_of(first)
    for part in parts[1:]:
        _refuse_other_kind(part, kind, first.where)
    if kind == "vector":
        return vector.fit(parts)
    if kind == "text":
        return text.fit(settings)
    if kind == "image":
        return image.fit(parts, settings.image_size)
    return table.fit([_features_only(part) for part in parts])


def encode(form: Form, part: Part) -> np.ndarray:
    """The part's samples as rows (n, prod(shape)): float32, or uint8 for images; or DataError."""
    _refuse_other_kind(part, form.kind, "the pool")
    if form.kind == "vector":
        return vector.encode(form, part)
    if form.kind == "text":
        return text.encode(form, part)
    if form.kind == "image":
        return image.encode(form, part)
    return table.encode(form, _features_only(part))


def encode_all(form: Form, parts: Sequence[Part]) -> np.ndarray:
    """The samples of all parts in order, as ``encode`` makes them; no more than one part is held twice."""
    rows = [part.table.num_rows for part in parts]
    kind = np.uint8 if form.kind == "image" else np.float32
    out = np.empty((sum(rows), math.prod(form.shape)), dtype=kind)
    end = 0
    for part, many in zip(parts, rows, strict=True):
        out[end : end + many] = encode(form, part)
        end += many
    return out


def to_json(form: Form) -> dict[str, Any]:
    """The form as the model card holds it."""
    return {"schema": SCHEMA, **asdict(form), "shape": list(form.shape)}


def from_json(document: Mapping[str, Any]) -> Form:
    """The form that `to_json` wrote, or DataError."""
    refuse_newer(document.get("schema") if isinstance(document, Mapping) else None, "the model card")
    try:
        known = document["schema"] == SCHEMA and document["kind"] in KINDS
        form = Form(document["kind"], tuple(document["shape"]), document["groups"], document["details"])
    except (KeyError, TypeError) as error:
        raise DataError(f"the model card holds no {SCHEMA} ({error!r})", change="train again") from error
    if not known:
        raise DataError(f"the model card holds {document['schema']} of {form.kind!r}", change="train again")
    return form


def feature_columns(columns: Sequence[str]) -> list[str]:
    """The columns of a table that are features, sorted by name."""
    return sorted(name for name in columns if name not in RESERVED and not _INDEX.fullmatch(name))


def _features_only(part: Part) -> table.Columns:
    names = feature_columns(part.table.column_names)
    return table.Columns(part, {name: part.table.column(name) for name in names})


def _refuse_other_kind(part: Part, kind: str, beside: str) -> None:
    own = kind_of(part)
    if own != kind:
        raise DataError(
            f"{part.where} holds samples of kind {own}, {beside} of kind {kind}",
            change="write all parts and the evaluation set with the same columns",
        )


def _kind_of_array(part: Part, array: np.ndarray) -> str:
    if "features" in part.table.column_names:
        raise DataError(f"{part.where} has a column features and an array beside it", change="keep one of the two")
    if array.ndim not in (2, 3, 4):
        raise DataError(
            f"{part.where}: the array beside it has shape {array.shape}",
            change="save vectors (n, D) or images (n, H, W) or (n, H, W, C)",
        )
    if len(array) != part.table.num_rows:
        raise DataError(
            f"{part.where} has {part.table.num_rows} rows, the array beside it {len(array)}",
            change="write both from the same samples in the same order",
        )
    return "vector" if array.ndim == 2 else "image"
