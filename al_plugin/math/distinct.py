"""Distinct samples in an order of their own, and exact copies."""

import numpy as np
from numpy.typing import NDArray

from al_plugin.axes import Floats, Ints, IntsN


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
