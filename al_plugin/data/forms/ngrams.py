"""Signed counts of hashed n-grams, the same on every platform and in every version.

Weinberger et al. 2009, Feature Hashing for Large Scale Multitask Learning. The hash is a polynomial
modulo 2^64 of code points, mixed by splitmix64 (Steele et al. 2014).
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from al_plugin.axes import Floats, Ints

# A run of letters, digits and underscores, or one other mark.
_TOKEN = re.compile(r"\w+|[^\w\s]")
# Texts and tokens that are counted at a time: the dense block stays in the processor's cache.
_TEXTS = 64
_TOKENS = 1 << 16
# An odd multiplier for polynomials modulo 2^64 (the golden ratio), and the two of splitmix64.
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def counted(
    texts: Sequence[str], width: int, words: Sequence[int], characters: Sequence[int]
) -> Iterator[tuple[slice, Floats]]:
    """Signed counts (rows, width), one block of texts after another.

    ``words`` and ``characters`` are the shortest and longest n-gram of whole words and of
    characters within a word that has a blank on either side.
    """
    if not texts:
        return
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
        yield slice(first, last), _scatter(rows, hashes, last - first, width)
        first = last


def _word_hashes(vocabulary: Sequence[str], characters: Sequence[int]) -> tuple[np.ndarray, np.ndarray, Ints]:
    """Hash of every word (V,), hashes of character n-grams and the word they come from, in its order."""
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
    of_word = np.concatenate(owners)
    order = np.argsort(of_word, kind="stable")
    return whole, np.concatenate(grams)[order], of_word[order]


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
    sums = np.bincount(rows * width + columns, signs, minlength=texts * width).astype(np.float64, copy=False)
    return sums.reshape(texts, width)
