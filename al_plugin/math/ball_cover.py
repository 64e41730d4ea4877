"""Covering points by balls of one radius."""

import numpy as np

from al_plugin.axes import FloatsN, FloatsND, IntsN, Picks
from al_plugin.math.ball_counts import Balls, Flags
from al_plugin.math.geometry import squared_distances

_BLOCK = 1024
# Rows that stand for the pool where a quantile is estimated.
_SAMPLE = 1000


def greedy_balls(points: FloatsND, radius: float, covered: Flags, n: int) -> tuple[Picks, IntsN]:
    """n points whose balls greedily cover most points that no ball covers yet.

    A ball holds what is nearer than ``radius``, and copies; ``covered`` (N,) is where labelled samples reach.
    Ties go to the first position. Once all is covered, covering starts anew beside the points picked. Returns
    picks (n,) and the points that each newly covered (n,). At least (1 - 1/e) of the most that n balls
    cover (Nemhauser, Wolsey, Fisher 1978). O(N² D) once, and once more for each time all gets covered;
    memory O(N), for small pools a byte for each pair.
    """
    balls, free = Balls(points, radius), np.ones(len(points), dtype=np.bool_)
    unpicked = balls.counts(free)  # points in each ball that are not picked
    done = covered.copy()
    degree = unpicked - balls.counts_of(np.flatnonzero(done))
    picks, gains = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    for step in range(n):
        pick = int(np.where(free, degree, -1).argmax())
        if degree[pick] == 0:
            done, degree = ~free, unpicked.copy()
            pick = int(np.where(free, degree, -1).argmax())
        picks[step], gains[step], free[pick] = pick, degree[pick], False
        ball = balls.within(slice(None), picks[step : step + 1])[:, 0]
        unpicked -= ball
        new = np.flatnonzero(ball & ~done)
        done |= ball
        # The relation is symmetric: who covers a point is whom the point covers.
        degree = np.zeros_like(degree) if done.all() else degree - balls.counts_of(new)
    return picks, gains


def pure_radius(points: FloatsND, groups: IntsN, purity: float) -> float:
    """Largest radius at which a share ``purity`` of balls holds points of the ball's own group only.

    A ball is pure up to the nearest point of another group, so this is the (1 - purity) quantile of
    those distances, over at most 1,000 evenly spaced balls. inf with one group.
    Source: Yehuda, Dekel, Hacohen, Weinshall (2022).
    """
    rows = _spaced(len(points))
    gaps = np.full(len(rows), np.inf)
    for start in range(0, len(points), _BLOCK):
        block = slice(start, start + _BLOCK)
        squared = squared_distances(points[rows], points[block])
        squared[groups[rows][:, None] == groups[block][None, :]] = np.inf
        np.minimum(gaps, squared.min(axis=1), out=gaps)
    ordered: FloatsN = np.sort(gaps)
    return float(np.sqrt(ordered[min(int((1.0 - purity) * len(ordered)), len(ordered) - 1)]))


def _spaced(total: int) -> IntsN:
    return np.unique(np.linspace(0, total - 1, min(total, _SAMPLE)).astype(np.int64))
