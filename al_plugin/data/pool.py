"""The pool: parts of samples with ids and features. The one place that turns positions into ids."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from al_plugin import targets
from al_plugin.axes import Floats, Ints
from al_plugin.data.arrow import column_of, number_column, string_column, strings
from al_plugin.data.forms.form import Form, Part, Settings, encode, encode_all, fit
from al_plugin.errors import DataError
from al_plugin.schemas import schema

SCHEMA = schema("pool")
# Would break a line of a message or a cell of a sheet, or turn the text around it; such an id comes back as another.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Pool:
    """Samples of all parts, in part order.

    ``ids`` (N,) of str, ``features`` (N, width) float32 or uint8, ``parts`` maps part name to its row
    count, ``form`` says how the features were made, None for numbers as they are.
    """

    ids: NDArray[np.object_]
    features: Floats
    parts: Mapping[str, int]
    form: Form | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (width,), or (channels, height, width) of an image."""
        return self.features.shape[1:] if self.form is None else self.form.shape

    @property
    def groups(self) -> int:
        """Into how many groups of neighbours the features fall that are standardised together."""
        return self.features.shape[1] if self.form is None else self.form.groups

    def encoded(self, part: Part) -> np.ndarray:
        """Other samples as numbers (n, width), as those of the pool were made."""
        return encode(self.form or Form("vector", self.shape, self.groups), part)

    def __len__(self) -> int:
        """Number of samples, N."""
        return len(self.ids)

    def positions(self, sample_ids: Sequence[str]) -> Ints:
        """Positions of the ids, in their order; DataError names ids the pool does not hold."""
        index = {sample_id: position for position, sample_id in enumerate(self.ids)}
        unknown = [sample_id for sample_id in sample_ids if sample_id not in index]
        if unknown:
            raise DataError(
                f"{len(unknown)} sample ids are not in the pool, first {', '.join(unknown[:3])}",
                change="add the part that holds them, or correct the labels",
            )
        return np.array([index[sample_id] for sample_id in sample_ids], dtype=np.int64)

    def split(self, values: NDArray[np.generic], *, axis: int = 0) -> dict[str, NDArray[np.generic]]:
        """``values`` cut along its axis of samples by part, in part order."""
        ends = np.cumsum(list(self.parts.values()))[:-1]
        return dict(zip(self.parts, np.split(values, ends, axis=axis), strict=True))


def pool_of(parts: Mapping[str, Part], settings: Settings) -> Pool:
    """The pool made of its parts, or DataError: missing column, duplicate or empty ids, empty."""
    ids = [column_of_ids(part.table, part.where) for part in parts.values()]
    form = fit(list(parts.values()), settings)
    joined = np.concatenate(ids)
    refuse_duplicates(joined, "the pool")
    sizes = {name: part.table.num_rows for name, part in parts.items()}
    return Pool(joined, encode_all(form, list(parts.values())), sizes, form)


def column_of_ids(table: pa.Table, where: str) -> NDArray[np.object_]:
    """Column ``sample_id`` (N,) as str, or DataError."""
    column = column_of(table, "sample_id", where)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise DataError(
            f"{where}: sample_id holds {column.type}, not strings",
            change="write ids as strings, so that 00123 stays 00123",
        )
    ids = strings(column)
    if column.null_count or (len(ids) and (ids == "").any()):
        raise DataError(f"{where}: some sample_id is empty", change="give every sample an id")
    if _CONTROL.search("".join(ids)):
        bad = next(sample for sample in ids if _CONTROL.search(sample))
        raise DataError(f"{where}: sample_id {bad!r} holds a control character", change="give it another id")
    return ids


def labels_of(
    table: pa.Table, classes: Sequence[str], where: str, task: str = targets.CLASSES
) -> NDArray[np.number[Any]]:
    """Column ``label`` as numbers, class indices (N,) or what the task has, or DataError naming the first refused."""
    return targets.encoded(targets.of(task, classes), column_of(table, "label", where).to_pylist(), where)


def sample_table(ids: Sequence[str], features: Floats, labels: Sequence[str] | None = None) -> pa.Table:
    """A part as it is stored: sample_id, features as fixed-size lists, and label if given."""
    flat = number_column(features.astype(np.float32).ravel())
    columns: dict[str, pa.Array] = {
        "sample_id": string_column(ids),
        "features": pa.FixedSizeListArray.from_arrays(flat, features.shape[1]),
    }
    if labels is not None:
        columns["label"] = string_column(labels)
    return pa.table(columns).replace_schema_metadata({"al.schema": SCHEMA})


def refuse_duplicates(ids: NDArray[np.object_], where: str) -> None:
    """DataError if an id occurs twice, naming the first few."""
    if len(set(ids)) == len(ids):
        return
    values, counts = np.unique(ids.astype(str), return_counts=True)
    twice = values[counts > 1]
    raise DataError(
        f"{where} holds {len(twice)} sample ids more than once, first {', '.join(twice[:3])}",
        change="ids must be unique over all parts",
    )


def refuse_overlap(pool_ids: NDArray[np.object_], eval_ids: NDArray[np.object_]) -> None:
    """DataError if an evaluation sample is in the pool: it could be queried and trained on."""
    both = sorted(set(pool_ids) & set(eval_ids))
    if both:
        raise DataError(
            f"{len(both)} samples are in the pool and in the evaluation set, first {', '.join(both[:3])}",
            change="take them out of one of the two",
        )
