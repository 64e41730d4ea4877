"""Batches whose balls cover the pool."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsLD, FloatsND, Picks
from al_plugin.math.ball_cover import greedy_balls, pure_radius
from al_plugin.math.clustering import kmeans
from al_plugin.math.geometry import nearest_center
from al_plugin.math.submodular import unit_rows
from al_plugin.strategies.registry import Range, strategy


@strategy(
    "prob_cover",
    reference="Yehuda, Dekel, Hacohen, Weinshall (2022)",
    cost="O(N² D); memory O(N), for up to 8192 candidates a byte for each pair",
    use="Cold start on good embeddings with clear clusters; poor at larger budgets.",
)
def prob_cover(
    frozen_embeddings: FloatsND,
    labeled_frozen_embeddings: FloatsLD,
    n: int,
    rng: np.random.Generator,
    *,
    delta: Annotated[float, Range(0, 2)] = 0.0,
    purity: Annotated[float, Range(0.5, 1)] = 0.9,
    clusters: Annotated[int, Range(1, None)] = 10,
) -> Picks:
    """Greedily the candidates in whose δ-balls most candidates lie that no ball covers yet.

    Balls of radius ``delta`` on unit rows, those of labelled samples first. ``delta`` 0 is estimated: the
    largest radius at which balls hold, in the mean, a share ``purity`` of samples with the pseudo-label of
    their centre, from k-means with ``clusters`` groups. The paper counts balls that are wholly pure, which
    k-means' errors make tiny. Once all is covered, covering starts anew. Ties go to the first candidate.
    """
    units, labeled = unit_rows(frozen_embeddings), unit_rows(labeled_frozen_embeddings)
    radius = delta
    if radius == 0:
        groups, _ = kmeans(units, min(clusters, len(units)), rng)
        radius = pure_radius(units, groups, purity)
    radius = min(radius, 2.0 + 1e-9)
    picks, _ = greedy_balls(units, radius, nearest_center(units, labeled) < radius**2, n)
    return picks
