"""Coverage in which every target has a weight, and a kernel width read off the labelled set."""

import numpy as np

from al_plugin.axes import Floats, FloatsKD, FloatsN, FloatsND, Picks
from al_plugin.math.geometry import squared_distances
from al_plugin.math.submodular import Similarity, greedy_cover

_BLOCK = 1024
# Copies are at distance 0 up to the rounding of a product of unit vectors.
_ZERO = 1e-12


def covered_by(targets: FloatsND, centers: FloatsKD, similarity: Similarity) -> FloatsN:
    """max_j sim(t_i, c_j) of each target, shape (N,); 0 without centers."""
    covered = np.zeros(len(targets))
    for start in range(0, len(centers), _BLOCK):
        block = centers[start : start + _BLOCK]
        for first in range(0, len(targets), _BLOCK):
            part = covered[first : first + _BLOCK]
            np.maximum(part, similarity(targets[first : first + _BLOCK], block).max(axis=1), out=part)
    return covered


def weighted_cover(
    points: FloatsND, weights: FloatsN, n: int, similarity: Similarity, *, covered: FloatsN
) -> tuple[Picks, FloatsN]:
    """n points that greedily maximise F(S) = Σ_i w_i max(covered_i, max_{j in S} sim(x_i, x_j)).

    ``weights`` (N,) >= 0, ``covered`` (N,) what is covered already, in units of the similarity. Returns
    positions (n,) in order and F after each pick (n,); see ``greedy_cover``, whose bound
    F >= (1 - 1/e) of the optimum holds for weights too. Source: Bae, Oliveira, Sutherland (2025), UHerding.
    """

    def weighted(targets: FloatsND, facilities: FloatsKD) -> Floats:
        # The weight of a target travels as its last column, so that it stays with its row.
        values: Floats = similarity(targets[:, :-1], facilities) * targets[:, -1:]
        return values

    targets = np.column_stack([points, weights])
    return greedy_cover(targets, points, n, weighted, covered=weights * covered)


def least_distance(points: FloatsKD) -> float:
    """The least distance between two different unit vectors; +inf where there are none.

    Distances of 0 (up to rounding) are left out. O(K² D) in blocks.
    """
    least = np.inf
    for start in range(0, len(points), _BLOCK):
        for other in range(0, start + 1, _BLOCK):
            squared = squared_distances(points[start : start + _BLOCK], points[other : other + _BLOCK])
            least = min(least, float(squared.min(initial=np.inf, where=squared > _ZERO)))
    return float(np.sqrt(least))
