"""Tables: numeric and categorical columns as numbers; what is missing is told to the model."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from al_plugin.axes import Floats
from al_plugin.data.forms.cells import categories, is_number, is_words, values
from al_plugin.data.forms.part import Form, Part
from al_plugin.errors import DataError

# One-hot columns of one categorical column; rarer categories share one more.
MAX_CATEGORIES = 64


@dataclass(frozen=True)
class Columns:
    """The feature columns of a part, by name, sorted."""

    part: Part
    columns: Mapping[str, pa.ChunkedArray]


def fit(parts: Sequence[Columns]) -> Form:
    """What the columns of the pool hold, or DataError.

    Columns are taken by name. Details of a numeric column: its ``mean``; of a categorical one:
    its ``categories`` (the 64 most frequent, ties by name; sorted) and whether there are ``other``
    ones; of both: whether cells are ``missing``.
    """
    names = list(parts[0].columns)
    for part in parts[1:]:
        _refuse_other_columns(part, names, parts[0].part.where)
    details = [_fit_column(name, parts) for name in names]
    width = sum(map(_width, details))
    return Form("table", (width,), width, {"columns": details})


def encode(form: Form, part: Columns) -> Floats:
    """Rows (n, D) float32, or DataError.

    A numeric column becomes value minus the pool's mean (so that large values keep their
    differences in float32) and 0 where missing. A categorical one becomes one column of 0 and 1
    per category, all 0 where the cell is missing or a category is new and the pool had no others.
    Either is followed by a column that is 1 where the cell is missing, if the pool missed some.
    """
    details = form.details["columns"]
    _refuse_other_columns(part, [column["name"] for column in details], "the pool")
    out = np.zeros((part.part.table.num_rows, *form.shape), dtype=np.float32)
    start = 0
    for column in details:
        end = start + _width(column)
        _encode_column(column, part, out[:, start:end])
        start = end
    return out


def _fit_column(name: str, parts: Sequence[Columns]) -> dict[str, Any]:
    held = [(part.columns[name].type, part.part.where) for part in parts]
    numeric = [f"{kind} in {where}" for kind, where in held if is_number(kind)]
    words = [f"{kind} in {where}" for kind, where in held if is_words(kind)]
    if numeric and words:
        raise DataError(
            f"column {name} holds {numeric[0]} and {words[0]}",
            change="write numbers or strings in all parts",
        )
    read = [(values if numeric else categories)(part.columns[name], name, part.part) for part in parts]
    missing = any(bool(mask.any()) for _, mask in read)
    if all(bool(mask.all()) for _, mask in read):
        raise DataError(f"column {name} is empty in the whole pool", change="leave it out")
    if numeric:
        # Correctly rounded, so neither the order of rows nor the cut into parts shows.
        total = math.fsum(value for cells, mask in read for value in cells[~mask].tolist())
        count = sum(int((~mask).sum()) for _, mask in read)
        return {"name": name, "mean": total / count, "missing": missing}
    counts = Counter(value for cells, mask in read for value in cells[~mask])
    ranked = sorted(counts, key=lambda value: (-counts[value], value))
    kept = sorted(ranked[:MAX_CATEGORIES])
    return {"name": name, "categories": kept, "other": len(ranked) > len(kept), "missing": missing}


def _encode_column(column: Mapping[str, Any], part: Columns, out: Floats) -> None:
    name = column["name"]
    kind = part.columns[name].type
    fits = is_number if "mean" in column else is_words
    if not fits(kind) and not pa.types.is_null(kind):
        raise DataError(
            f"{part.part.where}: column {name} holds {kind}, in the pool it holds "
            f"{'numbers' if 'mean' in column else 'strings'}",
            change="write the same types",
        )
    if "mean" in column:
        cells, missing = values(part.columns[name], name, part.part)
        out[:, 0] = np.where(missing, 0, cells - column["mean"])
    else:
        words, missing = categories(part.columns[name], name, part.part)
        known = {value: position for position, value in enumerate(column["categories"])}
        other = len(known) if column["other"] else -1
        at = np.array([known.get(value, other) for value in words], dtype=np.int64)
        rows = np.flatnonzero(~missing & (at >= 0))
        out[rows, at[rows]] = 1
    if column["missing"]:
        out[:, -1] = missing


def _width(column: Mapping[str, Any]) -> int:
    own = 1 if "mean" in column else len(column["categories"]) + column["other"]
    return int(own + column["missing"])


def _refuse_other_columns(part: Columns, names: Sequence[str], beside: str) -> None:
    lacking = sorted(set(names) - set(part.columns))
    extra = sorted(set(part.columns) - set(names))
    if lacking or extra:
        found = [f"lacks column {', '.join(lacking[:3])}"] * bool(lacking)
        found += [f"has column {', '.join(extra[:3])}"] * bool(extra)
        raise DataError(
            f"{part.part.where} {' and '.join(found)}, unlike {beside}",
            change="write the same columns everywhere",
        )
