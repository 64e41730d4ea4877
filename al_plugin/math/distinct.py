"""Distinct samples in an order of their own, and exact copies."""

import numpy as np
from numpy.typing import NDArray

from al_plugin.axes import Floats, Ints, IntsN

# Rows whose keys are made at a time, and an odd multiplier (the golden ratio, as in Fibonacci hashing).
_ROWS = 4096
_ODD = 0x9E3779B97F4A7C15


def distinct_rows(*features: Floats) -> tuple[Ints, IntsN, Ints]:
    """One row of each group of copies, sorted by the features' values: rows (K,), group of each row (N,), sizes (K,).

    What is computed on ``rows`` does not depend on the order of the pool, to the last bit, and copies share
    one result: ``result[groups]``. ``features`` are arrays (N, ...) of which the first counts most.
    """
    table = np.concatenate(features, axis=1)
    _, rows, groups, sizes = np.unique(table, axis=0, return_index=True, return_inverse=True, return_counts=True)
    return rows, groups.reshape(-1), sizes


def copied(samples: np.ndarray, others: np.ndarray) -> NDArray[np.bool_]:
    """Whether each row of ``samples`` (N, D) stands among ``others`` (M, D) of the same type, byte for byte: (N,)."""
    there = {row.tobytes() for row in others}
    return np.fromiter((row.tobytes() in there for row in samples), dtype=np.bool_, count=len(samples))


def copy_groups(samples: np.ndarray) -> IntsN:
    """Group of each row of ``samples`` (N, D) among rows that are equal byte for byte, -1 where it stands alone: (N,).

    Groups are numbered by their first row. Rows with the same 64-bit sum of mixed lanes are compared in
    full, so that the result is exact; -0.0 counts as the 0.0 that it equals.
    """
    found = np.full(len(samples), -1, dtype=np.int64)
    keys = np.empty(len(samples), dtype=np.uint64)
    for start in range(0, len(samples), _ROWS):
        keys[start : start + _ROWS] = _keys(samples[start : start + _ROWS])
    order = np.argsort(keys, kind="stable")
    same = keys[order[1:]] == keys[order[:-1]]
    members: dict[bytes, list[int]] = {}
    for row in np.unique(order[np.flatnonzero(same)[:, None] + np.arange(2)]).tolist():
        members.setdefault((samples[row] + samples.dtype.type(0)).tobytes(), []).append(row)
    several = [rows for rows in members.values() if len(rows) > 1]
    for number, rows in enumerate(sorted(several)):
        found[rows] = number
    return found


def _keys(rows: np.ndarray) -> NDArray[np.uint64]:
    """One number per row, equal for equal rows: lanes times powers of an odd number, modulo 2^64."""
    whole = np.ascontiguousarray(rows + rows.dtype.type(0))
    width = whole.shape[1] * whole.itemsize
    kind = np.uint64 if width % 8 == 0 else np.uint32 if width % 4 == 0 else np.uint8
    lanes = whole.view(kind).astype(np.uint64)
    lanes ^= lanes >> np.uint64(29)  # the high bits of floats count in the low ones too
    weights = np.cumprod(np.full(lanes.shape[1], _ODD, dtype=np.uint64))
    keys: NDArray[np.uint64] = (lanes * weights).sum(axis=1)
    return keys
