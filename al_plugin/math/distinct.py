"""Distinct samples in an order of their own."""

import numpy as np

from al_plugin.axes import Floats, Ints, IntsN


def distinct_rows(*features: Floats) -> tuple[Ints, IntsN, Ints]:
    """One row of each group of copies, sorted by the features' values: rows (K,), group of each row (N,), sizes (K,).

    What is computed on ``rows`` does not depend on the order of the pool, to the last bit, and copies share
    one result: ``result[groups]``. ``features`` are arrays (N, ...) of which the first counts most.
    """
    table = np.concatenate(features, axis=1)
    _, rows, groups, sizes = np.unique(table, axis=0, return_index=True, return_inverse=True, return_counts=True)
    return rows, groups.reshape(-1), sizes
