"""Batches whose balls cover the pool."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsLD, FloatsND, Picks
from al_plugin.math.ball_cover import greedy_balls
from al_plugin.math.clustering import kmeans, nearest_index
from al_plugin.math.geometry import farthest_first
from al_plugin.math.purity import pure_radius
from al_plugin.math.submodular import unit_rows
from al_plugin.strategies.registry import Range, strategy

# Candidates come in keyed order: the first ones are a uniform sample.
_CLUSTERED = 5000
_MEASURED = 1000
# No two unit vectors are farther apart than 2; a ball of this radius holds everything.
_EVERYTHING = 3.0


@strategy(
    "prob_cover",
    reference="Yehuda, Dekel, Hacohen, Weinshall (2022), ProbCover",
    cost="O(N² D), memory O(N); delta = 0 adds a k-means of 5000 samples",
    use="Cold start in a good fixed embedding; worse than random at larger budgets.",
    greedy=True,
)
def prob_cover(
    frozen_embeddings: FloatsND,
    labeled_frozen_embeddings: FloatsLD,
    n: int,
    rng: np.random.Generator,
    *,
    delta: Annotated[float, Range(0, None)] = 0.0,
    purity: Annotated[float, Range(0.01, 1)] = 0.95,
    clusters: Annotated[int, Range(2, 10_000)] = 10,
) -> Picks:
    """Greedily the candidates whose balls of radius δ hold most candidates in no ball yet.

    argmax_x of the number of uncovered y with ‖x - y‖ < δ on unit features; balls of labelled samples count. δ = 0 stands
    for the largest δ at which a share ``purity`` of all balls lies within one k-means cluster
    (``clusters``: about the number of classes). Once every candidate is covered the rest of the batch
    is taken farthest first. Ties go to the first candidate in keyed order.
    """
    units, known = unit_rows(frozen_embeddings), unit_rows(labeled_frozen_embeddings)
    radius = delta if delta > 0 else _estimated(units, purity, clusters, rng)
    picks, _ = greedy_balls(units, known, n, radius)
    if len(picks) == n:
        return picks
    left = np.delete(np.arange(len(units)), picks)
    rest, _ = farthest_first(units[left], np.concatenate([known, units[picks]]), n - len(picks))
    return np.concatenate([picks, left[rest]])


def _estimated(units: FloatsND, purity: float, clusters: int, rng: np.random.Generator) -> float:
    sample = units[:_CLUSTERED]
    _, centers = kmeans(sample, min(clusters, len(sample)), rng)
    assigned, _ = nearest_index(units, centers)
    return min(pure_radius(units, assigned, purity, sample=_MEASURED), _EVERYTHING)
