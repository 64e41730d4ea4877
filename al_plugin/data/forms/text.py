"""Texts as numbers: hashed n-grams of words and characters, without a vocabulary."""

import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from al_plugin.axes import Floats
from al_plugin.data.arrow import strings
from al_plugin.data.forms.ngrams import counted
from al_plugin.data.forms.part import Form, Part, Settings, first_ids
from al_plugin.errors import DataError

WORDS = (1, 2)
CHARACTERS = (3, 5)


def fit(settings: Settings) -> Form:
    """Nothing is learned from the pool: the width and the lengths of n-grams say everything."""
    width = settings.text_features
    return Form("text", (width,), 1, {"words": list(WORDS), "characters": list(CHARACTERS)})


def encode(form: Form, part: Part) -> Floats:
    """Rows of length 1, shape (n, width) float32; DataError where a text is empty.

    Entry: sign(c) (1 + ln |c|), c being the sum of the signs of the n-grams that fall on it.
    """
    (width,) = form.shape
    words, characters = form.details["words"], form.details["characters"]
    out = np.zeros((part.table.num_rows, width), dtype=np.float32)

    texts = [unicodedata.normalize("NFKC", text).lower() for text in texts_of(part)]
    for rows, counts in counted(texts, width, words, characters):
        _write_unit(counts, out[rows])
    return out


def texts_of(part: Part) -> Sequence[str]:
    """Column ``text`` as it stands, or DataError where a cell is empty."""
    column = part.table.column("text")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise DataError(f"{part.where}: text holds {column.type}, not strings", change="write texts as strings")
    texts = ["" if text is None else text for text in strings(column)]
    empty = [row for row, text in enumerate(texts) if not text.strip()]
    if empty:
        raise DataError(
            f"{part.where}: {len(empty)} texts are empty, first {first_ids(part, empty)}",
            change="replace or drop those samples",
        )
    return texts


def _write_unit(counts: Floats, out: Floats) -> None:
    flat = counts.ravel()
    at = np.flatnonzero(flat != 0)
    rows = at // counts.shape[1]
    found = flat[at].astype(np.int64)
    # From a table, since the last bit of a vectorised logarithm may depend on the place in memory.
    damped = 1 + np.log(np.arange(1, np.abs(found).max(initial=1) + 1))
    values = np.sign(found) * damped[np.abs(found) - 1]
    norms = np.sqrt(np.bincount(rows, values * values, minlength=len(counts)))
    out.reshape(-1)[at] = values / norms[rows]
