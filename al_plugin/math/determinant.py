"""Greedy maximisation of a determinant by an incremental Cholesky factor."""

import numpy as np

from al_plugin.axes import FloatsN, FloatsND, Picks
from al_plugin.math.submodular import Similarity

# Conditional variances are compared on this grid: copies tie exactly, and what lies below it is
# rounding, so such a point depends on the points taken before.
_GRID = 2.0**32


def greedy_determinant(points: FloatsND, log_quality: FloatsN, n: int, similarity: Similarity) -> tuple[Picks, FloatsN]:
    """n points that greedily maximise det(L_S) with L_ij = q_i sim(x_i, x_j) q_j.

    ``similarity`` is a positive semi-definite kernel with sim(x, x) = 1, ``log_quality`` (N,) is log q.
    Returns positions (n,) in order and the gain of log det at each pick (n,): log q² plus the log of
    the variance of sim given the earlier picks. Points that depend on the picks have the gain -inf
    and follow in order of position. Ties go to the first position. O(n² N) and memory O(n N).
    Source: Chen, Zhang, Zhou (2018); the kernel is that of Kulesza & Taskar (2012).
    """
    factor = np.empty((n, len(points)))
    variance = np.ones(len(points))
    free = np.ones(len(points), dtype=np.bool_)
    picks = np.empty(n, dtype=np.int64)
    gains = np.full(n, -np.inf)
    for step in range(n):
        with np.errstate(divide="ignore"):
            rounded = np.log(np.maximum(np.rint(variance * _GRID), 0.0) / _GRID)
        gain = np.where(free, rounded + 2.0 * log_quality, -np.inf)
        pick = int(gain.argmax())
        if np.isneginf(gain[pick]):
            picks[step:] = np.flatnonzero(free)[: n - step]
            break
        picks[step], gains[step], free[pick] = pick, gain[pick], False
        row = similarity(points, points[pick : pick + 1])[:, 0]
        row -= factor[:step, pick] @ factor[:step]
        row /= np.sqrt(variance[pick])
        factor[step] = row
        variance -= row**2
        variance[pick] = 0.0
    return picks, gains
