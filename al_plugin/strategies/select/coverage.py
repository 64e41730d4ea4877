"""Batches that cover the pool in an embedding."""

import heapq
from collections.abc import Iterator
from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsLD, FloatsND, IntsN, Picks
from al_plugin.math.clustering import kmeans, kmeans_of_sample, most_typical
from al_plugin.math.geometry import farthest_first
from al_plugin.math.submodular import covered_by, gaussian, greedy_cover, unit_rows
from al_plugin.strategies.registry import OneOf, Range, strategy

# Candidates from which k-means learns its centers: a hundred for each of the usual 500 clusters.
_CLUSTERED = 50_000


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
    inverse mean distance to the min(neighbours, |cluster| // 2) nearest members. Beyond 50,000
    candidates the centers are those of the labelled samples and the first 50,000 in keyed order, a
    uniform draw, and the other candidates join the nearest.
    """
    n_labeled, n_candidates = len(labeled_frozen_embeddings), len(frozen_embeddings)
    points = np.concatenate([frozen_embeddings, labeled_frozen_embeddings], dtype=np.float64)
    k = min(n_labeled + n, clusters, n_labeled + min(n_candidates, _CLUSTERED))
    assigned = _clustered(points, n_candidates, k, rng)
    turns = _turns(assigned, n_candidates, k, smallest, n)
    wanted = np.bincount(turns, minlength=k)
    members = np.split(np.argsort(assigned, kind="stable"), np.cumsum(np.bincount(assigned, minlength=k))[:-1])
    queues = {c: _most_typical(points, members[c], n_candidates, neighbours, int(wanted[c])) for c in set(turns)}
    return np.array([next(queues[chosen]) for chosen in turns], dtype=np.int64)


def _clustered(points: FloatsND, n_candidates: int, k: int, rng: np.random.Generator) -> IntsN:
    """Cluster of each point, candidates first among them."""
    if n_candidates <= _CLUSTERED:
        return kmeans(points, k, rng)[0]
    sample = np.concatenate([np.arange(_CLUSTERED), np.arange(n_candidates, len(points))])
    return kmeans_of_sample(points, sample, k, rng)


def _turns(assigned: IntsN, n_candidates: int, k: int, smallest: int, n: int) -> list[int]:
    """The cluster of each pick: large clusters first among those with the fewest labels; a pick counts as a label."""
    left = np.bincount(assigned[:n_candidates], minlength=k)
    taken = np.bincount(assigned[n_candidates:], minlength=k)
    size = np.bincount(assigned, minlength=k)
    waiting = [(bool(size[c] <= smallest), int(taken[c]), -int(size[c]), c) for c in range(k) if left[c]]
    heapq.heapify(waiting)
    turns: list[int] = []
    while len(turns) < n:
        small, labels, members, chosen = waiting[0]
        turns.append(chosen)
        left[chosen] -= 1
        if left[chosen]:
            heapq.heapreplace(waiting, (small, labels + 1, members, chosen))
        else:
            heapq.heappop(waiting)
    return turns


def _most_typical(points: FloatsND, members: IntsN, n_candidates: int, neighbours: int, n: int) -> Iterator[int]:
    """The ``n`` most typical candidates of a cluster, in that order."""
    own = int(np.searchsorted(members, n_candidates))  # candidates stand first
    chosen = most_typical(points[members], min(neighbours, max(len(members) // 2, 1)), n, own)
    return iter(members[chosen].tolist())


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
