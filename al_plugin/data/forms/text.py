"""Texts as numbers: signed feature hashing of word and character n-grams, without a vocabulary.

Weinberger et al. 2009, Feature Hashing for Large Scale Multitask Learning.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from al_plugin.axes import Floats, Ints
from al_plugin.data.arrow import strings
from al_plugin.data.forms.part import Form, Part, Settings, first_ids
from al_plugin.errors import DataError

# A run of letters, digits and underscores, or one other mark.
_TOKEN = re.compile(r"\w+|[^\w\s]")
WORDS = (1, 2)
CHARACTERS = (3, 5)
# Texts and tokens that are counted at a time: the dense block stays in the processor's cache.
_TEXTS = 64
_TOKENS = 1 << 16
# An odd multiplier for polynomials modulo 2^64 (the golden ratio), and the two of splitmix64.
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


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

    def keep(rows: slice, counts: Floats) -> None:
        out[rows] = _unit(counts)

    count_ngrams(texts_of(part), width, words, characters, keep)
    return out


def texts_of(part: Part) -> Sequence[str]:
    """Column ``text``, normalised (NFKC) and in lower case, or DataError."""
    column = part.table.column("text")
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise DataError(f"{part.where}: text holds {column.type}, not strings", change="write texts as strings")
    raw = strings(column)
    texts = ["" if text is None else unicodedata.normalize("NFKC", text).lower() for text in raw]
    empty = [row for row, text in enumerate(texts) if not text.strip()]
    if empty:
        raise DataError(
            f"{part.where}: {len(empty)} texts are empty, first {first_ids(part, empty)}",
            change="replace or drop those samples",
        )
    return texts


def count_ngrams(
    texts: Sequence[str],
    width: int,
    words: Sequence[int],
    characters: Sequence[int],
    keep: Callable[[slice, Floats], None],
) -> None:
    """Hand the signed counts (rows, width) of one block of texts after another to ``keep``.

    ``words`` and ``characters`` are the shortest and longest n-gram of whole words and of
    characters within a word that has a blank on either side.
    """
    vocabulary: defaultdict[str, int] = defaultdict()
    vocabulary.default_factory = vocabulary.__len__
    found = [[vocabulary[word] for word in _TOKEN.findall(text)] for text in texts]
    ends = np.cumsum([0, *map(len, found)])
    tokens = np.array([word for row in found for word in row], dtype=np.int64)
    whole, grams, owners = _word_hashes(list(vocabulary), characters)
    starts = np.searchsorted(owners, np.arange(len(vocabulary) + 1))
    first = 0
    while first < len(texts):
        last = min(first + _TEXTS, int(np.searchsorted(ends, ends[first] + _TOKENS, side="right")) - 1)
        last = max(first + 1, min(last, len(texts)))
        inside = tokens[ends[first] : ends[last]]
        text = np.repeat(np.arange(last - first), np.diff(ends[first : last + 1]))
        picked, text_of_gram = _expand(starts, inside, text)
        keys = [(text_of_gram, grams[picked]), *_word_ngrams(whole[inside], text, words)]
        rows, hashes = (np.concatenate(column) for column in zip(*keys, strict=True))
        keep(slice(first, last), _scatter(rows, hashes, last - first, width))
        first = last


def _word_hashes(vocabulary: Sequence[str], characters: Sequence[int]) -> tuple[np.ndarray, np.ndarray, Ints]:
    """Hash of every word (V,), hashes of character n-grams and the word they come from, in its order."""
    if not vocabulary:
        return np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int64)
    lengths = np.array([len(word) + 2 for word in vocabulary])
    joined = "".join(f" {word} " for word in vocabulary)
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    starts = np.cumsum(lengths) - lengths
    left = np.repeat(starts + lengths, lengths) - np.arange(len(codes))  # characters up to the word's end
    powers = np.cumprod(np.full(lengths.max() + 1, _BASE))
    whole = np.add.reduceat(codes * powers[left - 1], starts)
    grams, owners = [], []
    owner = np.repeat(np.arange(len(vocabulary)), lengths)
    for n in range(characters[0], characters[1] + 1):
        at = np.flatnonzero(left >= n)
        total = np.zeros(len(at), dtype=np.uint64)
        for offset in range(n):
            total = total * _BASE + codes[at + offset]
        grams.append(_mixed(total, 256 + n))
        owners.append(owner[at])
    order = np.argsort(np.concatenate(owners), kind="stable") if owners else np.empty(0, np.int64)
    flat = np.concatenate(grams) if grams else np.empty(0, np.uint64)
    return whole, flat[order], np.concatenate(owners)[order] if owners else order


def _expand(starts: Ints, tokens: Ints, text: Ints) -> tuple[Ints, Ints]:
    """Positions of all n-grams of the tokens' words, and the text each occurs in."""
    sizes = starts[tokens + 1] - starts[tokens]
    offsets = np.cumsum(sizes) - sizes
    positions = np.arange(sizes.sum()) + np.repeat(starts[tokens] - offsets, sizes)
    return positions, np.repeat(text, sizes)


def _word_ngrams(hashes: np.ndarray, text: Ints, words: Sequence[int]) -> list[tuple[Ints, np.ndarray]]:
    found = []
    for n in range(words[0], words[1] + 1):
        at = np.flatnonzero(text[: len(text) - n + 1] == text[n - 1 :])
        total = np.zeros(len(at), dtype=np.uint64)
        for offset in range(n):
            total = total * _BASE + hashes[at + offset]
        found.append((text[at], _mixed(total, n)))
    return found


def _mixed(values: np.ndarray, kind: int) -> np.ndarray:
    """splitmix64's finaliser; ``kind`` keeps n-grams of different kinds apart."""
    values = values + np.uint64(kind * 0x632BE59BD9B4E019 % 2**64)
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed


def _scatter(rows: Ints, hashes: np.ndarray, texts: int, width: int) -> Floats:
    columns = ((hashes >> np.uint64(32)) % np.uint64(width)).astype(np.int64)
    signs = 1.0 - 2.0 * (hashes & np.uint64(1)).astype(np.float64)
    flat: Floats = np.bincount(rows * width + columns, signs, minlength=texts * width)
    return flat.reshape(texts, width)


def _unit(counts: Floats) -> Floats:
    flat = counts.ravel()
    at = np.flatnonzero(flat != 0)
    rows = at // counts.shape[1]
    found = flat[at]
    found = np.sign(found) * (1 + np.log(np.abs(found)))
    norms: Floats = np.sqrt(np.bincount(rows, found * found, minlength=len(counts)))
    out = np.zeros(flat.shape, dtype=np.float32)
    out[at] = found / norms[rows]
    return out.reshape(counts.shape)
