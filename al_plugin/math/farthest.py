"""The farthest point from a growing set, found without looking at all points.

A distance to the nearest center only falls as centers come, so one computed earlier is an upper bound.
Three levels: the pool, with bounds; an active set of the points with the largest bounds; and among
them a hot set whose values are exact. A point of the hot set that beats every bound elsewhere is the
farthest. Where none does, the bounds of the active set are brought up to date by one matrix product,
and where that does not do either, those of the pool.
"""

import numpy as np

from al_plugin.axes import FloatsKD, FloatsN, FloatsND, IntsN, Picks
from al_plugin.math.distance_bounds import (
    frame,
    lower_exactly,
    lower_to,
    relative_error,
    squared_gaps,
)

_HOT = 256
_ACTIVE = 4096
_NUMBERS = 1 << 22
_NONE = (-np.inf, -1)


class Farthest:
    """State of a farthest-first traversal of ``points`` (N, D) away from ``centers`` (K, D).

    Values are ``squared_gaps`` to the nearest center; ties go to the first position.
    """

    def __init__(self, points: FloatsND, centers: FloatsKD, n: int, nearest: FloatsN | None) -> None:
        self._points = points
        self._centers = _distinct(centers)
        self._frame = frame(points)
        self._picks: list[int] = []
        self._flushed = self._seen = 0  # picks that the bounds of the pool and of the active set know
        self._upper = np.full(len(points), np.inf) if nearest is None else nearest.astype(np.float64)
        if nearest is None:
            lower_to(self._upper, points, self._centers, self._frame)
        self._size = max(min(max(_ACTIVE, 4 * n), _NUMBERS // (points.shape[1] + 1)), 2 * _HOT)
        self._active: IntsN = np.empty(0, dtype=np.int64)  # positions in the pool, rising
        self._hot: IntsN = np.empty(0, dtype=np.int64)  # positions in the active set, rising
        self._value: FloatsN = np.empty(0)
        self._bound: FloatsN = np.empty(0)
        self._rival_pool = self._rival_active = _NONE  # first largest bound outside

    def farthest(self) -> tuple[int, float]:
        """Position and value of the farthest point that was not taken."""
        while True:
            best = _first_largest(self._value, self._active[self._hot])
            if best[0] >= 0 and _beats(best, self._rival_active) and _beats(best, self._rival_pool):
                return best[1], best[0]
            self._refill()

    def take(self, pick: int) -> None:
        """Make the point at ``pick`` a center."""
        self._picks.append(pick)
        self._upper[pick] = -np.inf  # taken; -inf survives every later minimum
        if len(self._hot) == 0:
            return
        center = self._points[pick].astype(np.float64)
        moved = center - self._frame.origin
        lower = self._moved @ (-2.0 * moved)
        lower += self._norms + float(moved @ moved) * (1 - self._error)
        nearer = np.flatnonzero(lower <= self._value)
        self._value[nearer] = np.minimum(self._value[nearer], squared_gaps(self._wide[nearer], center))
        self._value[self._active[self._hot] == pick] = -np.inf

    def _refill(self) -> None:
        """Choose the hot set anew, from bounds that are up to date."""
        if len(self._active):
            self._bound[self._hot] = self._exact[self._hot] = self._value
            self._since[self._hot] = len(self._picks)
            pending = self._points[self._picks[self._seen :]]
            if len(pending):
                columns = self._frame.columns(pending)
                np.minimum(self._bound, self._frame.nearest(self._rows, columns), out=self._bound)
        self._seen = len(self._picks)
        if not _beats(_first_largest(self._bound, self._active), self._rival_pool) or not len(self._active):
            self._flush()
        self._hot = _largest(self._bound, _HOT)
        self._rival_active = _rival(self._bound, self._hot, self._active)
        self._wide = self._points[self._active[self._hot]].astype(np.float64)
        self._moved = self._wide - self._frame.origin
        self._error = relative_error(np.dtype(np.float64), self._wide.shape[1])
        self._norms = np.einsum("nd,nd->n", self._moved, self._moved) * (1 - self._error)
        self._value = self._evaluated()

    def _evaluated(self) -> FloatsN:
        """Exact values of the hot set."""
        hot, bound, origin = self._hot, self._bound[self._hot], self._frame.origin
        value, since = self._exact[hot], self._since[hot]
        new = np.flatnonzero((since < 0) & (bound > 0))
        fresh = np.full(len(new), np.inf)
        lower_exactly(fresh, bound[new], self._wide[new], self._centers, origin)
        value[new] = fresh
        # A bound of 0 is exact: the point is a copy of a center. Taken points stay at -inf.
        value[bound <= 0] = bound[bound <= 0]
        old = np.flatnonzero((since < len(self._picks)) & (bound > 0))
        if len(old):
            picked = self._points[self._picks[max(int(since[old].min()), 0) :]]
            known = value[old]
            lower_exactly(known, bound[old], self._wide[old], picked, origin)
            value[old] = known
        return value

    def _flush(self) -> None:
        """Bring the bounds of the pool up to date, and make the largest the active set."""
        self._upper[self._active] = np.minimum(self._upper[self._active], self._bound)
        lower_to(self._upper, self._points, self._points[self._picks[self._flushed :]], self._frame)
        self._flushed = len(self._picks)
        self._active = _largest(self._upper, self._size)
        self._rows = self._frame.rows(self._points[self._active])
        self._bound = self._upper[self._active]
        self._rival_pool = _rival(self._upper, self._active, None)
        self._exact = np.full(len(self._active), np.inf)
        self._since = np.full(len(self._active), -1)


def _first_largest(values: FloatsN, positions: IntsN) -> tuple[float, int]:
    """Largest value and its position, which must rise along the values; ties to the first."""
    if len(values) == 0:
        return _NONE
    at = int(values.argmax())
    return float(values[at]), int(positions[at])


def _beats(one: tuple[float, int], other: tuple[float, int]) -> bool:
    """Whether a value is larger, or as large and earlier."""
    return one[0] > other[0] or (one[0] == other[0] and one[1] < other[1])


def _largest(values: FloatsN, k: int) -> Picks:
    """Positions of the k largest values, rising; ties go to the first."""
    if k >= len(values):
        return np.arange(len(values))
    limit = np.partition(values, len(values) - k)[len(values) - k]
    above = np.flatnonzero(values > limit)
    equal = np.flatnonzero(values == limit)[: k - len(above)]
    return np.sort(np.concatenate([above, equal]))


def _rival(values: FloatsN, chosen: IntsN, positions: IntsN | None) -> tuple[float, int]:
    """The first largest value that was not chosen."""
    if len(chosen) == len(values):
        return _NONE
    rest = values.copy()
    rest[chosen] = -np.inf
    at = int(rest.argmax())
    return float(rest[at]), at if positions is None else int(positions[at])


def _distinct(centers: FloatsKD) -> FloatsKD:
    """The centers without copies, in order."""
    first = {row.tobytes(): position for position, row in reversed(list(enumerate(centers)))}
    return centers if len(first) == len(centers) else centers[sorted(first.values())]
