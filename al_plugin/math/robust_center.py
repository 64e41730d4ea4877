"""Robust k-center: n centers that cover all but a few points with the least radius."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from al_plugin.axes import FloatsKD, FloatsND, Ints, IntsN, Picks
from al_plugin.math.center_program import best_centers, program
from al_plugin.math.geometry import farthest_first, nearest_center, squared_distances
from al_plugin.math.greedy_disks import greedy_disks, reached_radius

_BLOCK = 1024


@dataclass(frozen=True)
class RobustCenters:
    """Centers, and what is known of their radius.

    ``picks`` (n,): positions in order. ``radius``: all but the outliers lie within it of a pick or of a
    labelled point. ``lower``: no n centers reach less (0 where nothing was shown), so the gap is
    radius - lower; it is 0 where the picks are optimal.
    """

    picks: Picks
    radius: float
    lower: float


def robust_centers(
    points: FloatsND, labeled: FloatsKD, n: int, *, outliers: int, exact_up_to: int, sample: int, nodes: int
) -> RobustCenters:
    """n points that, with ``labeled`` (L, D), leave at most ``outliers`` points beyond the least radius.

    The better of farthest-first traversal and greedy disks (on the first ``sample`` points, 2 n at
    least), and on at most ``exact_up_to`` points the optimum by integer programs of ``nodes`` nodes each. Needs
    n <= N. Order: the center whose ball holds most points not held yet first, ties to the first
    position; centers that are not needed for the radius are replaced by points within it, farthest first.
    Source: Sener & Savarese (2018).
    """
    picks, lower = _approximate(points, labeled, n, outliers, max(sample, 2 * n))
    if len(points) <= exact_up_to:
        given = program(points, labeled)
        at = np.searchsorted(given.first, _first_copies(points, picks, given.first))
        # A hair below, since that radius comes from rounded products and the program's distances do not.
        below = (lower * (1.0 - 1e-6)) ** 2
        best, reached, shown = best_centers(given, n, outliers, np.unique(at), lower=below, nodes=nodes)
        picks, radius, lower = given.first[best], sqrt(reached), sqrt(shown)
    else:
        radius = reached_radius(points, np.concatenate([labeled, points[picks]]), outliers)
    picks = _filled(points, labeled, _by_coverage(points, labeled, picks, radius, outliers), n, radius)
    return RobustCenters(picks, radius, min(lower, radius))


def _approximate(points: FloatsND, labeled: FloatsKD, n: int, outliers: int, sample: int) -> tuple[Picks, float]:
    """The better of two greedy sets of centers, and a lower bound of the radius."""
    traversal, _ = farthest_first(points, labeled, n)
    part = points[:sample]
    disks, lower = greedy_disks(part, labeled, n, outliers * len(part) // len(points))
    reached = [reached_radius(points, np.concatenate([labeled, points[one]]), outliers) for one in (traversal, disks)]
    # What a part of the points cannot reach with fewer outliers says nothing about the whole.
    return (disks if reached[1] < reached[0] else traversal), lower if len(part) == len(points) else 0.0


def _first_copies(points: FloatsND, picks: Picks, first: Picks) -> Picks:
    """For each pick the first point with the same values."""
    same = (points[picks][:, None] == points[first][None]).all(axis=2)
    found: Picks = first[same.argmax(axis=1)]
    return found


def _by_coverage(points: FloatsND, labeled: FloatsKD, picks: Picks, radius: float, outliers: int) -> Picks:
    """The picks, each time the one whose ball holds most points not held yet, until only outliers are left."""
    reach = (radius * (1.0 + 1e-9)) ** 2
    left = np.sort(picks)
    free = nearest_center(points, labeled) > reach
    gains = _held(points, np.flatnonzero(free), points[left], reach)
    order: list[int] = []
    while len(order) < len(left) and np.count_nonzero(free) > outliers:
        chosen = int(gains.argmax())
        order.append(int(left[chosen]))
        new = np.flatnonzero(free & (nearest_center(points, points[left[chosen : chosen + 1]]) <= reach))
        free[new] = False
        gains -= _held(points, new, points[left], reach)  # every point is counted off once
        gains[chosen] = np.iinfo(np.int64).min // 2
    return np.array(order, dtype=np.int64)


def _held(points: FloatsND, members: Ints, centers: FloatsKD, reach: float) -> IntsN:
    """How many of the points ``members`` lie within the squared distance ``reach`` of each center, (K,)."""
    found = np.zeros(len(centers), dtype=np.int64)
    for start in range(0, len(members), _BLOCK):
        block = squared_distances(points[members[start : start + _BLOCK]], centers)
        found += np.count_nonzero(block <= reach, axis=0)
    return found


def _filled(points: FloatsND, labeled: FloatsKD, picks: Picks, n: int, radius: float) -> Picks:
    """n picks: the missing ones farthest first, points within the radius before those beyond."""
    reach = (radius * (1.0 + 1e-9)) ** 2
    inside = nearest_center(points, np.concatenate([labeled, points[picks]])) <= reach
    inside[picks] = False
    beyond = ~inside
    beyond[picks] = False
    for group in (inside, beyond):
        left = np.flatnonzero(group)
        wanted = min(n - len(picks), len(left))
        if wanted:
            more, _ = farthest_first(points[left], np.concatenate([labeled, points[picks]]), wanted)
            picks = np.concatenate([picks, left[more]])
    return picks
