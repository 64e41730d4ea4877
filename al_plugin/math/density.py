"""How central each point is: the mean cosine to all points, in one pass."""

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsND
from al_plugin.math.submodular import unit_rows

# A block of 4096 terms of at most 2⁵⁰ each stays below 2⁶³.
_BLOCK = 4096
_GRID = 2.0**50


def mean_similarity(points: FloatsND) -> FloatsN:
    """Mean over all points u, x itself included, of (1 + cos(x, u)) / 2, shape (N,).

    Range [0, 1]: 1 where all points have the direction of x. A row of zeros has the cosine 0 to every
    point. With unit vectors the mean cosine is the product with the mean vector, so the cost is
    O(N D). Source: the density term of Settles & Craven (2008).
    """
    total = np.zeros(points.shape[1], dtype=np.object_)
    for start in range(0, len(points), _BLOCK):
        # Whole numbers add up to the same sum in every order of the rows.
        scaled = np.rint(unit_rows(points[start : start + _BLOCK]) * _GRID)
        total += scaled.astype(np.int64).sum(axis=0).astype(np.object_)
    mean = np.array([int(one) / (len(points) * int(_GRID)) for one in total], dtype=np.float64)
    out = np.empty(len(points))
    for start in range(0, len(points), _BLOCK):
        block = unit_rows(points[start : start + _BLOCK])
        out[start : start + _BLOCK] = np.einsum("nd,d->n", block, mean)
    result: Floats = np.clip((1.0 + out) / 2.0, 0.0, 1.0)
    return result
