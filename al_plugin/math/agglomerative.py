"""Average-linkage clusters of many points, from the hierarchy of a few."""

import numpy as np

from al_plugin.axes import FloatsND, IntsN
from al_plugin.math.clustering import nearest_index

# Points whose hierarchy is built: 4e6 distances.
_TREE = 2000


def average_linkage(points: FloatsND, k: int) -> IntsN:
    """Cluster (0..) of each point (N,), at most ``k`` of them, by average linkage.

    The tree is built of at most 2,000 evenly spaced points and cut where ``k`` clusters are left;
    the others go to the nearest cluster mean. Source: Citovsky et al. (2021) for its use.
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    rows = np.unique(np.linspace(0, len(points) - 1, min(len(points), _TREE)).astype(np.int64))
    if len(rows) == 1:
        return np.zeros(len(points), dtype=np.int64)
    some = points[rows].astype(np.float64)
    labels = fcluster(linkage(some, method="average"), t=min(k, len(rows)), criterion="maxclust") - 1
    if len(rows) == len(points):
        return np.asarray(labels, dtype=np.int64)
    means = np.stack([some[labels == cluster].mean(axis=0) for cluster in range(labels.max() + 1)])
    assigned = nearest_index(points, means)[0]
    assigned[rows] = labels
    return assigned
