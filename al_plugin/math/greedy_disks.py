"""Covering all but a few points by n balls, within three times the best radius."""

from math import sqrt

import numpy as np

from al_plugin.axes import FloatsKD, FloatsN, FloatsND, Picks
from al_plugin.math.ball_counts import Balls
from al_plugin.math.geometry import nearest_center, squared_distances

# Radii that are tried at most, and points whose distances to all others give them.
_RADII = 4096
_FROM = 256
# A ball is closed: what the rounding of a distance moves out of it still belongs to it.
_CLOSED = 1.0 + 1e-9


def reached_radius(points: FloatsND, centers: FloatsKD, outliers: int) -> float:
    """The least r such that all but ``outliers`` points lie within r of a center; +inf without centers."""
    if outliers >= len(points):
        return 0.0
    rank = len(points) - 1 - outliers
    return sqrt(float(np.partition(nearest_center(points, centers), rank)[rank]))


def greedy_disks(points: FloatsND, labeled: FloatsKD, n: int, outliers: int) -> tuple[Picks, float]:
    """At most n centers (m,) in order of their picking, and a radius that n centers cannot reach (or 0).

    For a radius r: repeatedly the point whose r-ball holds most points not covered yet; the 3r-ball
    around it then counts as covered. r-balls of ``labeled`` are there from the start. Where that leaves more
    than ``outliers`` points no n centers reach r, so the least r that does not, found by bisection over distances
    between the points, is at most the best radius (of those tried: 4096 quantiles on larger sets) and
    the centers are within 3 times of it. Ties go to the first position. O(N² D) for each radius.
    Source: Charikar, Khuller, Mount, Narasimhan (2001), "Algorithms for facility location problems with outliers".
    """
    radii = np.unique(np.sqrt(squared_distances(points, points[:_FROM])))
    radii = radii[np.unique(np.linspace(0, len(radii) - 1, min(len(radii), _RADII)).astype(np.int64))]
    to_labeled = np.sqrt(nearest_center(points, labeled))
    # The greatest distance from a point is at least half of all, so three times it holds everything.
    low, high = -1, len(radii) - 1
    found, _ = _disks(points, to_labeled, n, outliers, float(radii[high]))
    while high - low > 1:
        middle = (low + high) // 2
        picks, left = _disks(points, to_labeled, n, outliers, float(radii[middle]))
        if left > outliers:
            low = middle
        else:
            high, found = middle, picks
    return found, float(radii[low]) if low >= 0 else 0.0


def _disks(points: FloatsND, to_labeled: FloatsN, n: int, outliers: int, radius: float) -> tuple[Picks, int]:
    """The disks of one radius, and how many points they leave."""
    balls = Balls(points, radius * _CLOSED)
    free = to_labeled > radius * _CLOSED
    counts = balls.counts(free)
    picks: list[int] = []
    while len(picks) < n and np.count_nonzero(free) > outliers:
        pick = int(counts.argmax())
        picks.append(pick)
        gaps = squared_distances(points, points[pick : pick + 1])[:, 0]
        near = balls.within(slice(None), np.array([pick]))[:, 0]  # holds its copies, however the product rounds
        new = np.flatnonzero(free & (near | (gaps <= (3.0 * radius * _CLOSED) ** 2)))
        free[new] = False
        counts -= balls.counts_of(new)
    return np.array(picks, dtype=np.int64), int(np.count_nonzero(free))
