"""Covering points by balls of one radius."""

import numpy as np

from al_plugin.axes import FloatsN, FloatsND, IntsN, Picks
from al_plugin.math.ball_counts import Balls, Flags
from al_plugin.math.geometry import squared_distances

# Rows that stand for the pool where a radius is estimated.
_CENTRES, _MEMBERS = 1_000, 2_000
_ROUNDING = 1e-9


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
    """Largest radius at which balls hold, in the mean, a share ``purity`` of points of their centre's group.

    P(r) = mean over centres c of |{x : ‖x - c‖ < r, group(x) = group(c)}| / |{x : ‖x - c‖ < r}|, c itself
    included, over at most 1,000 evenly spaced centres and 2,000 evenly spaced points; the answer lies half way
    between two of their distances, and is inf where even balls that hold everything are that pure (one group).
    O(D S M + S M log(S M)) time and O(S M) memory for S centres and M points.
    Source: after Yehuda, Dekel, Hacohen, Weinshall (2022), who count the balls without any point of
    another group; a single k-means error makes such a ball impure, and the radius tiny.
    """
    centres, members = _spaced(len(points), _CENTRES), _spaced(len(points), _MEMBERS)
    squared = squared_distances(points[centres], points[members])
    squared[centres[:, None] == members[None, :]] = np.inf  # the centre is counted from the start
    order = np.argsort(squared, axis=1, kind="stable")
    same = np.take_along_axis(groups[members][None, :] == groups[centres][:, None], order, axis=1)
    shares = np.ones((len(centres), len(members) + 1))
    shares[:, 1:] = (1 + np.cumsum(same, axis=1)) / np.arange(2, len(members) + 2)
    # Each point that enters a ball changes the mean: all of them, in the order of their distances.
    reached = np.take_along_axis(squared, order, axis=1).ravel()
    entering = np.argsort(reached, kind="stable")
    entering = entering[: np.count_nonzero(np.isfinite(reached))]
    mean = 1 + np.cumsum(np.diff(shares, axis=1).ravel()[entering]) / len(centres)
    distances: FloatsN = np.append(np.sqrt(np.maximum(reached[entering], 0)), np.inf)
    # Below distances[i] balls hold what enters before i; what is equally far but for rounding enters together.
    starts = np.flatnonzero(np.diff(distances, prepend=-1.0) > _ROUNDING * np.append(distances[:-1], 0.0))
    before = np.concatenate([[1.0], mean])[starts]
    at = int(starts[np.flatnonzero(before >= purity - _ROUNDING)[-1]])
    # Half way to the first that is outside, so that rounding puts no pair to the other side.
    return float((distances[at] + (distances[at - 1] if at else 0.0)) / 2.0)


def _spaced(total: int, most: int) -> IntsN:
    return np.unique(np.linspace(0, total - 1, min(total, most)).astype(np.int64))
