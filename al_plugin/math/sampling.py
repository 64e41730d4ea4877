"""Keyed order of sample ids, and random draws with known inclusion probabilities."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from al_plugin.axes import FloatsN, KeysN, Picks

_ID_KEY = b"al_plugin sample id"


def id_hashes(sample_ids: Iterable[str]) -> KeysN:
    """64-bit BLAKE2b of each sample id (RFC 7693): the same on every platform, shape (N,)."""
    base = blake2b(digest_size=8, key=_ID_KEY)

    def one(sample_id: str) -> bytes:
        digest = base.copy()
        digest.update(sample_id.encode())
        return digest.digest()

    return np.frombuffer(b"".join(map(one, sample_ids)), dtype="<u8").astype(np.uint64)


def mixed_keys(hashes: KeysN, seed: int) -> KeysN:
    """One fresh pseudo-random key per id for this seed: splitmix64 of hash + seed·γ, shape (N,).

    Different seeds give unrelated orders; the key of an id does not depend on the other ids.
    Source: Steele, Lea, Flood (2014).
    """
    with np.errstate(over="ignore"):
        word = hashes + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            word = (word ^ (word >> np.uint64(shift))) * np.uint64(factor)
        mixed: NDArray[np.uint64] = word ^ (word >> np.uint64(31))
    return mixed


def keyed_order(keys: KeysN, sample_ids: NDArray[np.object_]) -> Picks:
    """Positions sorted by key; equal keys are ordered by id. Shape (N,)."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    if (ordered[1:] == ordered[:-1]).any():
        return np.lexsort((sample_ids.astype(str), keys))
    return order


def unit_interval(keys: KeysN) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) from 64-bit keys (their upper 53 bits), shape (N,)."""
    return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53


def spread(total: int, special: int) -> Picks:
    """Evenly spaced ranks for ``special`` of ``total`` places, shape (special,), increasing.

    An annotator who stops early has then seen about the same share of special places.
    """
    return ((2 * np.arange(special) + 1) * total) // (2 * special) if special else np.arange(0)


def best_first(scores: FloatsN, n: int) -> Picks:
    """Positions of the n largest scores, best first, ties to the first position. O(N + n log n)."""
    if 0 < n < len(scores):
        limit = np.partition(scores, len(scores) - n)[len(scores) - n]
        above = np.flatnonzero(scores > limit)
        chosen = np.concatenate([above, np.flatnonzero(scores == limit)[: n - len(above)]])
    else:
        chosen = np.arange(len(scores) if n else 0)
    # The positions rise where scores are equal, and the sort is stable.
    picks: Picks = chosen[np.argsort(-scores[chosen], kind="stable")]
    return picks


def shortlist(scores: FloatsN, n: int, factor: float) -> Picks:
    """Positions of the factor · n best scores, best first, ties to the first position."""
    size = min(len(scores), max(n, int(factor * n)) if factor * n < len(scores) else len(scores))
    return best_first(scores, size)
