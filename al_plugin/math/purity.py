"""The largest radius whose balls mostly hold one cluster."""

from math import ceil

import numpy as np

from al_plugin.axes import FloatsND, IntsN
from al_plugin.math.geometry import squared_distances

_BLOCK = 512


def pure_radius(points: FloatsND, assigned: IntsN, purity: float, *, sample: int) -> float:
    """Largest r such that at least ``purity`` of the balls {y : ‖x - y‖ < r} lie in the cluster of x.

    A ball is pure iff r is at most the distance to the nearest point of another cluster, so r is an
    order statistic of those distances. They are taken from the first ``sample`` points to all others;
    +inf with one cluster only. Source: Yehuda, Dekel, Hacohen, Weinshall (2022), section 3.3.
    """
    size = min(len(points), sample)
    foreign = np.empty(size)
    for start in range(0, size, _BLOCK):
        rows = slice(start, min(start + _BLOCK, size))
        best = np.full(rows.stop - rows.start, np.inf)
        for other in range(0, len(points), _BLOCK):
            columns = slice(other, other + _BLOCK)
            squared = squared_distances(points[rows], points[columns])
            same = assigned[rows, None] == assigned[None, columns]
            np.minimum(best, np.where(same, np.inf, squared).min(axis=1), out=best)
        foreign[rows] = best
    wanted = max(ceil(purity * size - 1e-9), 1)
    return float(np.sqrt(np.sort(foreign)[size - wanted]))
