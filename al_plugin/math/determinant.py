"""Greedy maximisation of a determinant."""

import numpy as np

from al_plugin.axes import FloatsN, FloatsND, Picks
from al_plugin.math.geometry import squared_distances

# A conditional variance below this share of a point's own is rounding: the point is a copy of picks.
_NOTHING = 1e-12


def greedy_determinant(points: FloatsND, log_quality: FloatsN, n: int, sigma: float) -> tuple[Picks, FloatsN]:
    """n points that greedily maximise log det L_S, L_ij = q_i q_j exp(-‖x_i - x_j‖² / σ²).

    Each pick has the largest q² times its variance given the picks before (ties to the first
    position); gains (n,) are the logs of these, in nats, -inf once only copies of picks are left, which
    then come in the order of quality. One Cholesky row per pick: O(n² N + n N D), memory O(n N).
    Source: Chen, Zhang, Zhou (2018); Kulesza & Taskar (2012) for determinantal point processes.
    """
    variance = np.ones(len(points))
    free = np.ones(len(points), dtype=np.bool_)
    rows = np.empty((n, len(points)))
    picks, gains = np.empty(n, dtype=np.int64), np.empty(n)
    for step in range(n):
        with np.errstate(divide="ignore"):
            logs = 2.0 * log_quality + np.log(np.where(variance > _NOTHING, variance, 0.0))
        pick = int(np.where(free, logs, -np.inf).argmax())
        if not np.isfinite(logs[pick]) or not free[pick]:
            rest = np.flatnonzero(free)
            picks[step:] = rest[np.argsort(-log_quality[rest], kind="stable")][: n - step]
            gains[step:] = -np.inf
            break
        picks[step], gains[step], free[pick] = pick, logs[pick], False
        row = np.exp(squared_distances(points, points[pick : pick + 1])[:, 0] / -(sigma**2))
        row -= rows[:step].T @ rows[:step, pick]
        rows[step] = row / np.sqrt(variance[pick])
        variance -= rows[step] ** 2
    return picks, gains
