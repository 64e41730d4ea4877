"""Batches that cover the pool in an embedding."""

import heapq
from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsLD, FloatsND, IntsN, Picks
from al_plugin.math.clustering import kmeans, typicality
from al_plugin.math.geometry import farthest_first
from al_plugin.math.submodular import covered_by, gaussian, greedy_cover, unit_rows
from al_plugin.strategies.registry import OneOf, Range, strategy


@strategy(
    "kcenter_greedy",
    reference="Sener & Savarese (2018); Gonzalez (1985)",
    cost="O(L N D) once, then lazily; at most O((L + n) N D)",
    use="Middle budgets with few classes and good embeddings; it favours outliers.",
    greedy=True,
)
def kcenter_greedy(
    embeddings: FloatsND,
    labeled_embeddings: FloatsLD,
    n: int,
    *,
    metric: Annotated[str, OneOf(("euclidean", "cosine"))] = "euclidean",
) -> Picks:
    """Core-set: repeatedly the candidate farthest from everything labelled or picked.

    argmax_i min_{j in L ∪ S} ‖x_i - x_j‖, a 2-approximation of the smallest covering radius; with
    ``metric`` cosine the rows are scaled to length 1 first, ‖x_i - x_j‖² = 2 - 2 cos. Ties go to the
    first candidate in keyed order.
    """
    if metric == "cosine":
        embeddings, labeled_embeddings = unit_rows(embeddings), unit_rows(labeled_embeddings)
    picks, _ = farthest_first(embeddings, labeled_embeddings, n)
    return picks


@strategy(
    "typiclust",
    reference="Hacohen, Dekel, Weinshall (2022)",
    cost="O(N K D) per k-means iteration, K = min(L + n, clusters)",
    use="Cold start: no labels, or fewer than about five per class.",
)
def typiclust(
    frozen_embeddings: FloatsND,
    labeled_frozen_embeddings: FloatsLD,
    n: int,
    rng: np.random.Generator,
    *,
    neighbours: Annotated[int, Range(1, None)] = 20,
    clusters: Annotated[int, Range(1, None)] = 500,
    smallest: Annotated[int, Range(0, None)] = 5,
) -> Picks:
    """The most typical sample of each of the largest clusters that hold the fewest labels.

    Candidates and labelled samples are clustered together into K = min(L + n, clusters) groups;
    groups of at most ``smallest`` members wait until larger ones are used up. Typicality is the
    inverse mean distance to the min(neighbours, |cluster| // 2) nearest members.
    """
    n_labeled, n_candidates = len(labeled_frozen_embeddings), len(frozen_embeddings)
    points = np.concatenate([frozen_embeddings, labeled_frozen_embeddings]).astype(np.float64)
    k = min(n_labeled + n, clusters, len(points))
    assigned, _ = kmeans(points, k, rng)
    queues = _typical_first(points, assigned, n_candidates, k, neighbours)
    taken = np.bincount(assigned[n_candidates:], minlength=k)
    size = np.bincount(assigned, minlength=k)
    # Large clusters first among those with the fewest labels; a pick counts as a label.
    turns = [(bool(size[c] <= smallest), int(taken[c]), -int(size[c]), c) for c in range(k) if queues[c]]
    heapq.heapify(turns)
    picks: list[int] = []
    while len(picks) < n:
        small, labels, members, chosen = turns[0]
        picks.append(queues[chosen].pop(0))
        if queues[chosen]:
            heapq.heapreplace(turns, (small, labels + 1, members, chosen))
        else:
            heapq.heappop(turns)
    return np.array(picks, dtype=np.int64)


def _typical_first(points: FloatsND, assigned: IntsN, n_candidates: int, k: int, neighbours: int) -> list[list[int]]:
    """Candidates of each cluster, most typical first, ties to the first position."""
    queues: list[list[int]] = []
    for cluster in range(k):
        members = np.flatnonzero(assigned == cluster)
        density = typicality(points[members], min(neighbours, max(len(members) // 2, 1)))
        ordered = members[np.argsort(-density, kind="stable")]
        queues.append([int(member) for member in ordered if member < n_candidates])
    return queues


@strategy(
    "max_herding",
    reference="Bae, Noh, Sutherland (2024)",
    cost="O((L + N) N D) for the first pass, then lazily",
    use="Cold start and low budgets: smooth coverage of the pool in a fixed embedding.",
    greedy=True,
)
def max_herding(
    frozen_embeddings: FloatsND,
    labeled_frozen_embeddings: FloatsLD,
    n: int,
    *,
    sigma: Annotated[float, Range(0.01, None)] = 1.0,
) -> Picks:
    """Greedily the candidates that cover all candidates best under a Gaussian kernel.

    maximise Σ_x max_{s in L ∪ S} exp(-‖x - s‖² / σ²) on unit features; what labelled samples cover
    already counts as covered. Ties go to the first candidate in keyed order.
    """
    units, kernel = unit_rows(frozen_embeddings), gaussian(sigma)
    covered = covered_by(units, unit_rows(labeled_frozen_embeddings), kernel)
    picks, _ = greedy_cover(units, units, n, kernel, covered=covered)
    return picks
