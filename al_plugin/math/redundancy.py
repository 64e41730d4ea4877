"""How much of a pool says the same again."""

import numpy as np

from al_plugin.axes import Floats, FloatsND
from al_plugin.math.neighbours import nearest

# Closer than this share of a typical distance is a near copy.
NEAR = 0.05


def near_duplicates(points: FloatsND, rng: np.random.Generator, *, asked: int = 1000, among: int = 100_000) -> float:
    """Share of points whose nearest neighbour is closer than 1/20 of the median distance of two points, [0, 1].

    ``points`` (N, D), standardised. Of more than ``asked`` points that many are drawn, and looked up among
    ``among``: of larger pools the share is a lower bound. Exact copies count; noise in dimensions that
    are otherwise constant hides copies, since standardising makes it as wide as the rest.
    """
    if len(points) < 3:
        return 0.0
    order = rng.permutation(len(points))[:among]
    others, drawn = points[order], points[order[:asked]]
    found = nearest(drawn, others, 2)
    # The first is the point itself or an exact copy of it, so the second is what counts.
    gaps = _lengths(drawn - others[found[:, 1]], drawn - others[found[:, 0]])
    apart = _lengths(drawn - drawn[rng.permutation(len(drawn))])
    apart = apart[apart > 0]
    return float((gaps < NEAR * np.median(apart)).mean()) if len(apart) else 1.0


def _lengths(*differences: FloatsND) -> Floats:
    lengths: Floats = np.max([np.linalg.norm(d.astype(np.float64), axis=1) for d in differences], axis=0)
    return lengths
