"""k-means with a k-means++ start, and k-nearest-neighbour typicality."""

import numpy as np

from al_plugin.axes import Floats, FloatsKD, FloatsN, FloatsND, IntsN
from al_plugin.math.distance_bounds import Frame, frame, squared_gaps
from al_plugin.math.geometry import squared_distances

_BLOCK = 4096
# Products per block: they stay in the cache.
_PRODUCTS = 2**18
_PROPOSALS = 128
# Points of a cluster from which on it pays to look twice, and rows of it at a time.
_LARGE = 1024
_ROWS = 256


def kmeans_plus_plus(points: FloatsND, k: int, rng: np.random.Generator, weights: FloatsN | None = None) -> FloatsKD:
    """k starting centers, each drawn with probability proportional to weight times D².

    D² is the squared distance to the nearest center drawn before; the first center is uniform. Where
    all remaining mass is zero (duplicates only) the draw is uniform. Weights (N,) are positive, by
    default 1. Source: Arthur & Vassilvitskii (2007).
    """
    chosen = [int(rng.integers(len(points)))]
    nearest = np.full(len(points), np.inf)
    known = 0
    while len(chosen) < k:
        for start in range(0, len(points), _BLOCK):
            part = nearest[start : start + _BLOCK]
            gaps = squared_distances(points[start : start + _BLOCK], points[chosen[known:]])
            np.minimum(part, gaps.min(axis=1), out=part)
        known = len(chosen)
        mass = np.cumsum(nearest if weights is None else nearest * weights)
        if 0 < mass[-1] < np.inf:
            chosen += _accepted(points, nearest, mass, k - known, rng)
        else:
            chosen += rng.integers(len(points), size=k - known).tolist()
    return points[chosen].astype(np.float64)


def _accepted(points: FloatsND, stale: FloatsN, mass: FloatsN, k: int, rng: np.random.Generator) -> list[int]:
    """At least 1 and at most ``k`` draws by D², until too many proposals are wasted.

    D² only falls: a proposal drawn by an old D² and accepted with probability new / old follows the law.
    """
    chosen: list[int] = []
    wasted, limit = 0, 2 * _PROPOSALS + len(points) // 8
    while len(chosen) < k and wasted <= limit:
        rows = np.searchsorted(mass, rng.random(_PROPOSALS) * mass[-1], side="right")
        np.minimum(rows, len(mass) - 1, out=rows)
        threshold = rng.random(_PROPOSALS) * stale[rows]
        drawn = points[rows]
        fresh = stale[rows]
        if chosen:
            fresh = np.minimum(fresh, squared_distances(drawn, points[chosen]).min(axis=1))
        mutual = squared_distances(drawn, drawn)
        wasted += _PROPOSALS
        for i in np.flatnonzero(threshold < fresh):
            if threshold[i] < fresh[i]:
                chosen.append(int(rows[i]))
                wasted -= 1
                np.minimum(fresh, mutual[i], out=fresh)
    return chosen[:k]


def nearest_index(points: FloatsND, centers: FloatsKD) -> tuple[IntsN, FloatsN]:
    """Index of and squared distance to the nearest center; ties go to the first center."""
    within = frame(points)
    index = _first_nearest(points, centers, within, None)
    squared = np.empty(len(points))
    for start in range(0, len(points), _BLOCK):
        near = centers[index[start : start + _BLOCK]]
        squared[start : start + _BLOCK] = squared_gaps(points[start : start + _BLOCK], near)
    return index, squared


def _first_nearest(points: FloatsND, centers: FloatsKD, within: Frame, rows: Floats | None) -> IntsN:
    """Index of the nearest center by fast products; in float64 where two are within their error.

    ``rows``: ``within.rows(points)``, if it is kept.
    """
    index = np.empty(len(points), dtype=np.int64)
    columns = within.columns(centers).T
    moved = centers - within.origin.astype(np.float64)
    longest = np.einsum("kd,kd->k", moved, moved).max()
    # Twice for two values, and again for the share that the columns add.
    error = 4 * within.error
    step = min(_BLOCK, max(_PRODUCTS // len(centers), 64))
    for start in range(0, len(points), step):
        block = within.rows(points[start : start + step]) if rows is None else rows[start : start + step]
        values = block @ columns
        best = values.argmin(axis=1)
        inner = block[:, :-1]
        slack = error * (np.einsum("nd,nd->n", inner, inner).astype(np.float64) + longest)
        limit = (values[np.arange(len(best)), best] + slack).astype(values.dtype)
        limit = np.nextafter(limit, np.inf, dtype=values.dtype)
        doubtful = np.flatnonzero(np.count_nonzero(values <= limit[:, None], axis=1) > 1)
        if len(doubtful):
            best[doubtful] = squared_distances(points[start + doubtful], centers).argmin(axis=1)
        index[start : start + step] = best
    return index


def kmeans(
    points: FloatsND,
    k: int,
    rng: np.random.Generator,
    *,
    weights: FloatsN | None = None,
    iterations: int = 100,
) -> tuple[IntsN, FloatsKD]:
    """Lloyd's k-means: cluster of each point (N,) and centers (k, D).

    With positive ``weights`` (N,) it minimises Σ_i w_i ‖x_i - c(i)‖²: a weight counts as that many
    copies of the point.

    A cluster that loses all its points takes over the point farthest from its own center.
    Stops when no assignment changes. Needs 1 <= k <= N. Source: Lloyd (1982).
    """
    if not 1 <= k <= len(points):
        raise ValueError(f"asked for {k} clusters of {len(points)} points")
    wide = points.astype(np.float64, copy=False)
    centers = kmeans_plus_plus(wide, k, rng, weights)
    within = frame(wide)
    rows = within.rows(wide)
    assigned = np.full(len(wide), -1, dtype=np.int64)
    for _ in range(iterations):
        updated = _first_nearest(wide, centers, within, rows)
        counts = np.bincount(updated, minlength=k)
        if not counts.all():
            _fill(updated, counts, wide, centers)
        moved = np.flatnonzero(updated != assigned)
        if len(moved) == 0:
            break
        changed = np.zeros(k, dtype=np.bool_)
        changed[updated[moved]] = True
        if assigned[0] >= 0:
            changed[assigned[moved]] = True
        assigned = updated
        members = np.flatnonzero(changed[assigned])
        among = np.cumsum(changed) - 1
        share = None if weights is None else weights[members]
        centers[changed] = cluster_means(wide[members], among[assigned[members]], counts[changed], share)
    return assigned, centers


def _fill(assigned: IntsN, counts: IntsN, points: FloatsND, centers: FloatsKD) -> None:
    """Give each empty cluster the point farthest from its center, in place."""
    squared = np.concatenate(
        [
            squared_gaps(points[start : start + _BLOCK], centers[assigned[start : start + _BLOCK]])
            for start in range(0, len(points), _BLOCK)
        ]
    )
    for empty in np.flatnonzero(counts == 0):
        # Only a point that shares its cluster may move, else another cluster would empty.
        movable = np.where(counts[assigned] > 1, squared, -1.0)
        moved = int(movable.argmax())
        counts[assigned[moved]] -= 1
        assigned[moved] = empty
        counts[empty] = 1
        squared[moved] = 0.0


def cluster_means(points: FloatsND, assigned: IntsN, counts: IntsN, weights: FloatsN | None = None) -> FloatsKD:
    """(Weighted) mean of each cluster, shape (K, D); points are summed in cluster order."""
    order = np.argsort(assigned, kind="stable")
    means = np.empty((len(counts), points.shape[1]))
    # Cluster by cluster, so that no sorted copy of all points is made.
    for cluster, members in enumerate(np.split(order, np.cumsum(counts)[:-1])):
        if weights is None:
            means[cluster] = points[members].sum(axis=0, dtype=np.float64) / len(members)
        else:
            share = weights[members]
            means[cluster] = (points[members] * share[:, None]).sum(axis=0) / share.sum()
    return means


def typicality(points: FloatsND, neighbours: int, rows: IntsN | None = None) -> FloatsN:
    """Inverse mean distance to the nearest neighbours among the points themselves.

    typ(x) = ( (1/k) Σ_{x_i in kNN(x)} ‖x - x_i‖ )⁻¹, k = min(neighbours, N - 1); +inf where all k
    neighbours are duplicates of x, and for a lone point. Of the points ``rows`` (R,), by default of all.
    Shape (R,), range (0, +inf]. Source: Hacohen, Dekel, Weinshall (2022), eq. 1.
    """
    rows = np.arange(len(points)) if rows is None else rows
    k = min(neighbours, len(points) - 1)
    if k < 1:
        return np.full(len(rows), np.inf)
    mean = np.empty(len(rows))
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        squared = squared_distances(points[block], points)
        squared[np.arange(len(block)), block] = np.inf  # a point is not its own neighbour
        closest = np.partition(squared, k - 1, axis=1)[:, :k]
        # Sorted, since np.partition promises no order and a sum depends on it in the last bit.
        closest.sort(axis=1)
        mean[start : start + _BLOCK] = np.sqrt(closest).mean(axis=1)
    with np.errstate(divide="ignore"):
        result: Floats = 1.0 / mean
    return result


def most_typical(points: FloatsND, neighbours: int, n: int, first: int) -> IntsN:
    """Positions below ``first`` of the ``n`` points of greatest ``typicality``, ties to the first position.

    Among many points the few that may be so are found by fast products with a certified error, and
    compared by their typicality in float64.
    """
    if len(points) <= _LARGE:
        # All of a small cluster, so that its products do not depend on who is asked for.
        rows, density = np.arange(first), typicality(points, neighbours)[:first]
    else:
        rows = _may_be_typical(points, neighbours, n, first)
        density = typicality(points, neighbours, rows)
    chosen: IntsN = rows[np.argsort(-density, kind="stable")[:n]]
    return chosen


def _may_be_typical(points: FloatsND, neighbours: int, n: int, first: int) -> IntsN:
    """Positions below ``first`` whose mean distance to their neighbours may be among the ``n`` smallest."""
    k = min(neighbours, len(points) - 1)
    within = frame(points)
    rows, columns = within.rows(points), within.columns(points).T
    norms = np.einsum("nd,nd->n", rows[:, :-1], rows[:, :-1]).astype(np.float64)
    # Twice for two values, and again for the share that the columns add.
    slack = 4 * within.error * (norms + norms.max())
    low, high = np.empty(first), np.empty(first)
    for start in range(0, first, _ROWS):
        at = np.arange(start, min(start + _ROWS, first))
        values = rows[at] @ columns
        values[at - start, at] = np.inf
        # Order statistics differ by no more than the values do.
        near = np.partition(values, k - 1, axis=1)[:, :k] + norms[at, None]
        high[at] = np.sqrt(np.maximum(near + slack[at, None], 0.0)).mean(axis=1)
        low[at] = np.sqrt(np.maximum(near - slack[at, None], 0.0)).mean(axis=1)
    return np.flatnonzero(low <= np.partition(high, n - 1)[n - 1])


def kmeans_of_sample(points: FloatsND, sample: IntsN, k: int, rng: np.random.Generator) -> IntsN:
    """Cluster of each point (N,) under the centers that ``kmeans`` finds among the points ``sample`` (S,)."""
    wide = points.astype(np.float64, copy=False)
    _, centers = kmeans(wide[sample], k, rng)
    return _first_nearest(wide, centers, frame(wide), None)
