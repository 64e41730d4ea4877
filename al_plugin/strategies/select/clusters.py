"""The best scores, spread over the clusters of the pool."""

from math import ceil
from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsLD, FloatsN, FloatsND, IntsN, Picks
from al_plugin.math.agglomerative import sampled_linkage
from al_plugin.strategies.registry import Range, strategy


@strategy(
    "cluster_margin",
    reference="Citovsky, DeSalvo, Gentile, Karydas, Rajagopalan, Rostamizadeh, Kumar (2021)",
    cost="O(sample² D + N K D), K = clusters",
    use="Very large batches with the margin score: redundancy is avoided at the price of a sort.",
)
def cluster_margin(
    scores: FloatsN,
    frozen_embeddings: FloatsND,
    labeled_frozen_embeddings: FloatsLD,
    n: int,
    rng: np.random.Generator,
    *,
    factor: Annotated[float, Range(1, None)] = 10.0,
    clusters: Annotated[int, Range(0, 10_000)] = 0,
    sample: Annotated[int, Range(2, 10_000)] = 1000,
) -> Picks:
    """The factor · n best scores by cluster, one random sample per cluster in turn, small clusters first.

    Clusters are those of average linkage over candidates and labelled samples, cut at the largest
    distance that leaves ``clusters`` of them (0: 1.25 n); linkage runs on ``sample`` of them, the others join the
    nearest cluster mean. A cluster's size is its share of the shortlist; equal sizes go by best score.
    """
    wanted = clusters or ceil(1.25 * n)
    points = np.concatenate([frozen_embeddings, labeled_frozen_embeddings])
    assigned = sampled_linkage(points, wanted, sample=sample)
    size = min(len(scores), max(n, int(min(factor * n, len(scores)))))
    shortlist = np.argsort(-scores, kind="stable")[:size]
    return shortlist[_in_turn(assigned[shortlist], n, rng)]


def _in_turn(groups: IntsN, n: int, rng: np.random.Generator) -> Picks:
    """n positions: round after round one random member of each group left, smallest group first.

    A round visits every group once, so the member that a group gives in round r is the r-th of a
    random order of its members.
    """
    _, first, inverse, counts = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    shuffled = rng.permutation(len(groups))
    within = shuffled[np.argsort(inverse[shuffled], kind="stable")]  # group by group, each in random order
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    turn = np.arange(len(groups)) - np.repeat(starts, counts)
    owner = inverse[within]
    order = np.lexsort((first[owner], counts[owner], turn))
    picks: Picks = within[order[:n]]
    return picks
