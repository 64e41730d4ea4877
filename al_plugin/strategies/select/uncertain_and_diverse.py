"""First the most informative candidates, then a batch among them that is spread out."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsN, FloatsND, Picks
from al_plugin.math.representatives import nearest_to_centers
from al_plugin.math.sampling import shortlist
from al_plugin.math.submodular import facility_location, unit_rows
from al_plugin.strategies.registry import Range, strategy


@strategy(
    "max_cover",
    reference="Yang, Zhang, Chen, Zhang, Chen (2017), suggestive annotation",
    cost="O(factor n N D)",
    use="Segmentation and other redundant pools: uncertain samples that represent the rest.",
    greedy=False,
)
def max_cover(
    scores: FloatsN, embeddings: FloatsND, n: int, *, factor: Annotated[float, Range(1, None)] = 2.0
) -> Picks:
    """Among the factor · n best scores, greedily those that cover all candidates best.

    maximise Σ_{x in candidates} max_{a in S} sim(a, x) with S within the shortlist and sim the cosine
    moved to [0, 1]. factor 1 is the best scores, a factor above N / n plain facility location.
    """
    chosen = shortlist(scores, n, factor)
    units = unit_rows(embeddings)
    picks, _ = facility_location(units, units[chosen], n)
    return chosen[picks]


@strategy(
    "weighted_kmeans",
    reference="Zhdanov (2019), diverse mini-batch active learning",
    cost="O(factor n² D) per k-means iteration",
    use="Large batches: informative and spread out, independent of the pool's size after scoring.",
)
def weighted_kmeans(
    scores: FloatsN,
    embeddings: FloatsND,
    n: int,
    rng: np.random.Generator,
    *,
    factor: Annotated[float, Range(1, None)] = 10.0,
) -> Picks:
    """Of the factor · n best scores, n weighted clusters; from each the sample nearest its center.

    Weights are scores moved to [2⁻²⁰, 1] over the shortlist. Best score first.
    """
    chosen = shortlist(scores, n, factor)
    points, best = embeddings[chosen].astype(np.float64), scores[chosen]
    spread = float(best.max() - best.min())
    weights = np.maximum((best - best.min()) / spread, 2.0**-20) if spread > 0 else np.ones(len(best))
    picked: Picks = chosen[nearest_to_centers(points, n, rng, weights=weights)]
    return picked
