"""Uncertain samples from many clusters."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsN, FloatsND, Picks
from al_plugin.math.agglomerative import average_linkage
from al_plugin.math.sampling import shortlist
from al_plugin.strategies.registry import Range, strategy


@strategy(
    "cluster_margin",
    reference="Citovsky, DeSalvo, Gentile, Karydas, Rajagopalan, Rostamizadeh, Kumar (2021)",
    cost="O(N D clusters), and the hierarchy of 2,000 points",
    use="Very large batches on redundant pools: informative samples, small clusters first.",
)
def cluster_margin(
    scores: FloatsN,
    frozen_embeddings: FloatsND,
    n: int,
    rng: np.random.Generator,
    *,
    factor: Annotated[float, Range(1, None)] = 10.0,
    clusters_per_pick: Annotated[float, Range(0.01, None)] = 1.25,
) -> Picks:
    """Of the factor · n best scores, in turn a random one of each cluster, from the smallest cluster on.

    Average-linkage clusters of all candidates, ``clusters_per_pick`` · n of them (the paper's threshold is
    free); size counts the shortlisted members, ties go to the cluster of the better score. Factor 1
    is the best scores.
    """
    if n > len(scores):
        raise ValueError(f"asked for {n} picks of {len(scores)} candidates")
    chosen = shortlist(scores, n, factor)
    assigned = average_linkage(frozen_embeddings, max(1, round(clusters_per_pick * n)))[chosen]
    queues: dict[int, list[int]] = {}
    for position, cluster in enumerate(assigned):
        queues.setdefault(int(cluster), []).append(position)
    # Clusters stand in the order of their best score; the sort is stable.
    ordered = sorted(queues.values(), key=len)
    turns = [[members[i] for i in rng.permutation(len(members))] for members in ordered]
    picks: list[int] = []
    while len(picks) < n and any(turns):
        for members in turns:
            if members and len(picks) < n:
                picks.append(members.pop())
    picked: Picks = chosen[np.array(picks, dtype=np.int64)]
    return picked
