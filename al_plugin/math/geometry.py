"""Squared Euclidean distances and farthest-first traversal."""

import numpy as np

from al_plugin.axes import Floats, FloatsKD, FloatsN, FloatsND, Picks
from al_plugin.math.distance_bounds import frame, lower_to, relative_error, squared_gaps
from al_plugin.math.farthest import Farthest

_BLOCK = 4096
# Distances at a time, where all points meet all.
_PAIRS = 2**22


def squared_norms(points: FloatsND) -> FloatsN:
    """‖x_i‖² in float64, shape (N,)."""
    wide = points.astype(np.float64, copy=False)
    norms: Floats = np.einsum("nd,nd->n", wide, wide)
    return norms


def squared_distances(points: FloatsND, centers: FloatsKD) -> Floats:
    """d²_ij = ‖x_i‖² + ‖c_j‖² - 2 x_i·c_j, float64, shape (N, K), never negative.

    What lies below the rounding error of the sum counts as 0, so copies are at distance 0 exactly.
    """
    wide = points.astype(np.float64, copy=False)
    other = centers.astype(np.float64, copy=False)
    norms, lengths = squared_norms(wide), squared_norms(other)
    squared = wide @ other.T
    squared *= -2.0
    squared += norms[:, None]
    squared += lengths
    error = relative_error(np.dtype(np.float64), wide.shape[1])
    doubtful = np.flatnonzero(squared.min(axis=1, initial=np.inf) <= error * (norms + lengths.max(initial=0.0)))
    for row in doubtful:
        squared[row, squared[row] <= error * (norms[row] + lengths)] = 0.0
    return squared


def nearest_center(points: FloatsND, centers: FloatsKD) -> FloatsN:
    """Squared distance of each point to its nearest center, shape (N,); +inf without centers."""
    out = np.full(len(points), np.inf)
    if len(centers) == 0:
        return out
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        out[start : start + _BLOCK] = squared_distances(block, centers).min(axis=1)
    return out


def nearest_bound(points: FloatsND, centers: FloatsKD, nearest: FloatsN | None = None) -> FloatsN:
    """Upper bound of the squared distance of each point to its nearest center, (N,); +inf without centers.

    ``nearest``: what an earlier call gave for other centers; the result then holds for both sets. Points
    and rows of ``nearest`` must be the same. Above the distance by at most the error of a product in single precision.
    """
    upper = np.full(len(points), np.inf) if nearest is None else nearest.astype(np.float64)
    lower_to(upper, points, centers, frame(points))
    return upper


def nearest_pair(points: FloatsND) -> float:
    """Least distance between two points that differ; 0 where there are no such two."""
    best = np.inf
    # Cancellation leaves about 1e-16 of the norms where two points are the same.
    same = 1e-12 * float(squared_norms(points).max(initial=0.0))
    step = max(1, _PAIRS // max(1, len(points)))
    for start in range(0, len(points), step):
        squared = squared_distances(points[start : start + step], points)
        best = min(best, float(squared[squared > same].min(initial=np.inf)))
    return float(np.sqrt(best)) if np.isfinite(best) else 0.0


def farthest_first(
    points: FloatsND, centers: FloatsKD, n: int, *, nearest: FloatsN | None = None
) -> tuple[Picks, FloatsN]:
    """Greedy k-center: repeatedly take the point farthest from everything taken so far.

    Without centers the first pick is the point nearest the mean. Ties go to the first position,
    and a point is never taken twice. Returns the picks (n,) in order and the squared radius
    before each pick (n,), which never increases (+inf for a first pick without centers).
    Needs n <= N. ``nearest`` (N,): an upper bound of the squared distances to ``centers``, kept from
    ``nearest_bound``; it saves the pass over points and centers and changes no pick.
    A 2-approximation of the best radius: Gonzalez (1985); Sener & Savarese (2018).
    """
    if n > len(points):
        raise ValueError(f"asked for {n} picks of {len(points)} points")
    search = Farthest(points, centers, n, nearest)
    picks = np.empty(n, dtype=np.int64)
    radii = np.empty(n)
    for step in range(n):
        if step == 0 and len(centers) == 0:
            picks[0], radii[0] = _nearest_mean(points), np.inf
        else:
            picks[step], radii[step] = search.farthest()
        search.take(int(picks[step]))
    return picks, radii


def _nearest_mean(points: FloatsND) -> int:
    """Position of the point nearest the mean, ties to the first."""
    mean = points.mean(axis=0, dtype=np.float64)
    gaps = [squared_gaps(points[start : start + _BLOCK], mean) for start in range(0, len(points), _BLOCK)]
    return int(np.concatenate(gaps).argmin())
