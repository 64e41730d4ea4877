"""How central a point is among others."""

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsND
from al_plugin.math.submodular import unit_rows


def mean_similarity(points: FloatsND) -> FloatsN:
    """Mean over all points of (1 + cos(x, u)) / 2, in [0, 1], shape (N,).

    The mean of cosines is the cosine with the mean unit vector times its length: O(N D) instead of
    O(N² D). Source: Settles & Craven (2008) for its use as information density.
    """
    units = unit_rows(points)
    # Sorted, so that the sum does not depend on the order of the points; einsum, so that copies agree.
    mean = np.sort(units, axis=0).mean(axis=0)
    similarity: Floats = ((1.0 + np.einsum("nd,d->n", units, mean)) / 2.0).clip(0.0, 1.0)
    return similarity
