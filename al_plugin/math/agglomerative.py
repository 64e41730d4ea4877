"""Average-linkage clusters of a large set through a sample of it."""

import numpy as np

from al_plugin.axes import FloatsND, IntsN, KeysN
from al_plugin.math.clustering import cluster_means, nearest_index
from al_plugin.math.sampling import mixed_keys


def content_keys(points: FloatsND) -> KeysN:
    """A pseudo-random 64-bit key of each row's values, whatever its position; shape (N,)."""
    keys = np.zeros(len(points), dtype=np.uint64)
    for column in points.T:
        # 0 + x, since -0.0 and 0.0 are one value with two bit patterns.
        bits = (0.0 + column.astype(np.float64)).view(np.uint64)
        keys = mixed_keys(keys ^ bits, 1)
    return keys


def average_linkage(points: FloatsND, clusters: int) -> IntsN:
    """Cluster of each point (N,): average linkage cut at the largest distance that leaves ``clusters`` or more.

    Equal heights are cut together. O(N²) time and memory. Source: Sokal & Michener (1958).
    """
    if clusters >= len(points):
        return np.arange(len(points))
    from scipy.cluster.hierarchy import fcluster, linkage

    merges = linkage(points, method="average")
    heights = np.sort(merges[:, 2])
    cut = np.nextafter(heights[len(points) - clusters], -np.inf) if clusters > 1 else np.inf
    labels: IntsN = fcluster(merges, cut, criterion="distance").astype(np.int64) - 1
    return labels


def sampled_linkage(points: FloatsND, clusters: int, *, sample: int) -> IntsN:
    """Average linkage of ``sample`` points; every other point joins the nearest cluster mean. Shape (N,).

    The sample is chosen by the values of the points: the same set in another order has the same
    clusters, so a pool keeps them from round to round. O(sample² + N · clusters).
    """
    order = np.argsort(content_keys(points), kind="stable")
    chosen = order[:sample]
    wide = points[chosen].astype(np.float64)
    found = average_linkage(wide, clusters)
    assigned = np.empty(len(points), dtype=np.int64)
    if len(chosen) < len(points):
        counts = np.bincount(found)
        assigned, _ = nearest_index(points, cluster_means(wide, found, counts))
    assigned[chosen] = found
    return assigned
