"""Squared Euclidean distances and farthest-first traversal."""

import numpy as np

from al_plugin.axes import Floats, FloatsKD, FloatsN, FloatsND, Picks

_BLOCK = 4096


def squared_norms(points: FloatsND) -> FloatsN:
    """‖x_i‖² in float64, shape (N,)."""
    wide = points.astype(np.float64, copy=False)
    norms: Floats = np.einsum("nd,nd->n", wide, wide)
    return norms


def squared_distances(points: FloatsND, centers: FloatsKD) -> Floats:
    """d²_ij = ‖x_i‖² + ‖c_j‖² - 2 x_i·c_j, float64, shape (N, K), never negative."""
    wide = points.astype(np.float64, copy=False)
    other = centers.astype(np.float64, copy=False)
    squared = wide @ other.T
    squared *= -2.0
    squared += squared_norms(wide)[:, None]
    squared += squared_norms(other)[None, :]
    return np.maximum(squared, 0.0, out=squared)


def nearest_center(points: FloatsND, centers: FloatsKD) -> FloatsN:
    """Squared distance of each point to its nearest center, shape (N,); +inf without centers."""
    out = np.full(len(points), np.inf)
    if len(centers) == 0:
        return out
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        out[start : start + _BLOCK] = squared_distances(block, centers).min(axis=1)
    return out


def farthest_first(points: FloatsND, centers: FloatsKD, n: int) -> tuple[Picks, FloatsN]:
    """Greedy k-center: repeatedly take the point farthest from everything taken so far.

    Without centers the first pick is the point nearest the mean. Ties go to the first position,
    and a point is never taken twice. Returns the picks (n,) in order and the squared radius
    before each pick (n,), which never increases (+inf for a first pick without centers).
    A 2-approximation of the best radius: Gonzalez (1985); Sener & Savarese (2018).
    """
    wide = np.ascontiguousarray(points, dtype=np.float64)
    nearest = nearest_center(wide, centers)
    norms = squared_norms(wide)
    picks = np.empty(n, dtype=np.int64)
    radii = np.empty(n)
    for step in range(n):
        if step == 0 and len(centers) == 0:
            pick = int(np.argmin(squared_distances(wide, wide.mean(axis=0, keepdims=True))[:, 0]))
            radii[step] = np.inf
        else:
            pick = int(np.argmax(nearest))
            radii[step] = nearest[pick]
        picks[step] = pick
        distance = norms + norms[pick] - 2.0 * (wide @ wide[pick])
        np.maximum(distance, 0.0, out=distance)
        np.minimum(nearest, distance, out=nearest)
        nearest[pick] = -np.inf  # taken; -inf survives every later minimum
    return picks, radii
