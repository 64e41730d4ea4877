"""One sample for each k-means cluster."""

import numpy as np

from al_plugin.axes import FloatsN, FloatsND, Picks
from al_plugin.math.clustering import kmeans
from al_plugin.math.geometry import squared_distances


def nearest_to_centers(points: FloatsND, k: int, rng: np.random.Generator, *, weights: FloatsN | None = None) -> Picks:
    """For each of k clusters of ``points`` (N, D) the member nearest its center: k distinct positions, sorted.

    ``weights`` (N,) are those of k-means. Ties go to the first position. Needs k <= N; k = 0 gives none.
    """
    if k == 0:
        return np.empty(0, dtype=np.int64)
    assigned, centers = kmeans(points, k, rng, weights=weights)
    order = np.argsort(assigned, kind="stable")
    bounds = np.searchsorted(assigned[order], np.arange(k + 1))
    chosen = np.empty(k, dtype=np.int64)
    for cluster in range(k):
        members = order[bounds[cluster] : bounds[cluster + 1]]
        gaps = squared_distances(points[members], centers[cluster : cluster + 1])[:, 0]
        chosen[cluster] = members[gaps.argmin()]
    return np.sort(chosen)
