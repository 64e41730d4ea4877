"""Exact nearest neighbours in blocks."""

import numpy as np

from al_plugin.axes import Floats, FloatsKD, FloatsND, Ints
from al_plugin.math.geometry import squared_distances

_BLOCK = 4096


def nearest(points: FloatsND, others: FloatsKD, k: int) -> tuple[Ints, Floats]:
    """The k nearest of ``others`` for each point: positions and squared distances, both (N, k).

    Nearest first; equal distances go to the lower position. Needs 1 <= k <= K.
    """
    index = np.empty((len(points), k), dtype=np.int64)
    squared = np.empty((len(points), k))
    for start in range(0, len(points), _BLOCK):
        block = squared_distances(points[start : start + _BLOCK], others)
        # A stable sort, so that a tie at rank k is decided by position.
        chosen = np.argsort(block, axis=1, kind="stable")[:, :k]
        index[start : start + _BLOCK] = chosen
        squared[start : start + _BLOCK] = np.take_along_axis(block, chosen, axis=1)
    return index, squared
