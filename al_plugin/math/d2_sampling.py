"""k-means++ seeding without a pass over all points per pick.

A distance to the nearest center only falls as centers come, so one computed earlier is an upper
bound. A point proposed in proportion to its bound and accepted with probability (distance / bound)²
is drawn in proportion to the squared distance: the law of k-means++ exactly, though not the same
random numbers as a pass per pick would use.
"""

from collections.abc import Callable

import numpy as np

from al_plugin.axes import Floats, FloatsN, Ints, Picks

# Squared distances of rows to the nearest pick from the k-th on: (rows, picks, k) -> (rows,).
Gaps = Callable[[Ints, Picks, int], Floats]

_BLOCK = 4096
# Proposals that may be refused before all bounds are computed anew.
_LEAST_WASTED = 64
_WASTED_SHARE = 16


def d2_sampling(
    first: int, total: int, n: int, gaps: Gaps, rng: np.random.Generator, *, weights: FloatsN | None = None
) -> tuple[Picks, int]:
    """n of ``total`` points: ``first``, then each in proportion to weight times squared distance.

    Distances are to the nearest pick. Stops where no mass is left (all points are copies of picks):
    returns the picks (n,) and how many of them were drawn; the rest are for the caller to fill. The
    first k picks do not depend on n. After max(64, N / 16) refused proposals all bounds are computed
    anew, so that heavy tails and copies cost a few passes, not many proposals.
    Source: Arthur & Vassilvitskii (2007) for the law.
    """
    picks = np.empty(n, dtype=np.int64)
    picks[0], drawn, known = first, 1, 0
    bound = np.full(total, np.inf)
    wasted, allowed = np.inf, max(_LEAST_WASTED, total // _WASTED_SHARE)
    mass = bound
    while drawn < n:
        if wasted >= allowed:
            for start in range(0, total, _BLOCK):
                rows = np.arange(start, min(start + _BLOCK, total))
                bound[rows] = np.minimum(bound[rows], gaps(rows, picks[:drawn], known))
            bound[picks[known:drawn]] = 0.0
            known, wasted = drawn, 0
            mass = np.cumsum(bound if weights is None else bound * weights)
        if mass[-1] <= 0:
            break
        where, accept = rng.random(2)
        at = min(int(np.searchsorted(mass, where * mass[-1], side="right")), total - 1)
        fresh = bound[at]
        if known < drawn:
            fresh = min(fresh, gaps(np.array([at]), picks[:drawn], known)[0])
        if accept * bound[at] < fresh:
            picks[drawn] = at
            drawn += 1
        else:
            wasted += 1
    return picks, drawn
