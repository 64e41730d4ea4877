"""Select strategies with one fault each."""

# ruff: noqa: NPY002 - the legacy generator is one of the faults

from typing import Annotated

import numpy as np
from broken.impersonate import GOLDEN, impersonates

from al_plugin.math.clustering import kmeans, typicality
from al_plugin.math.geometry import farthest_first, squared_distances
from al_plugin.strategies.registry import Range


@impersonates("select", "top", GOLDEN)
def lowest_first(scores, n):
    """Ascending: the samples the model is surest of."""
    return np.argsort(scores, kind="stable")[:n]


@impersonates("select", "top", "ties_to_first", GOLDEN)
def ties_to_last(scores, n):
    """Sorted ascending and read from the end: ties go to the last."""
    return np.argsort(scores, kind="stable")[::-1][:n].copy()


@impersonates("select", "top", "greedy_prefix", GOLDEN)
def sorted_picks(scores, n):
    """The right set in the order of the pool, not of acquisition."""
    return np.sort(np.argsort(-scores, kind="stable")[:n])


@impersonates("select", "top", "result_form", GOLDEN)
def float_positions(scores, n):
    """Positions as floats."""
    return np.argsort(-scores, kind="stable")[:n].astype(np.float64)


@impersonates("select", "top", "result_form")
def list_of_positions(scores, n):
    """A list instead of an array."""
    return np.argsort(-scores, kind="stable")[:n].tolist()


@impersonates("select", "top", "result_form", "distinct_in_range", GOLDEN)
def one_too_many(scores, n):
    """Off by one: n + 1 picks (baal's BatchBALD)."""
    return np.argsort(-scores, kind="stable")[: n + 1]


@impersonates("select", "top", "distinct_in_range", GOLDEN)
def counts_from_one(scores, n):
    """Positions counted from 1."""
    return np.argsort(-scores, kind="stable")[:n] + 1


@impersonates("select", "top", "distinct_in_range", GOLDEN)
def negative_positions(scores, n):
    """Positions from the end, as Python allows."""
    return np.argsort(-scores, kind="stable")[:n] - len(scores)


@impersonates("select", "top", "copies_distinct", "ties_to_first", GOLDEN)
def by_value(scores, n):
    """Looks positions up by score: equal scores give the same position again."""
    best = np.sort(scores)[::-1][:n]
    return np.array([int(np.flatnonzero(scores == value)[0]) for value in best])


@impersonates("select", "top", "global_generators", "repeatable")
def shuffled_ties(scores, n):
    """Breaks ties with numpy.random."""
    return np.lexsort((np.random.random(len(scores)), -scores))[:n]


@impersonates("select", "top", "clock_and_hash")
def ties_by_hash(scores, n):
    """Breaks ties with hash()."""
    keys = [(-score, hash((float(score), position))) for position, score in enumerate(scores // 0.25)]
    return np.array(sorted(range(len(scores)), key=keys.__getitem__)[:n])


_last: dict[int, np.ndarray] = {}


@impersonates("select", "top", "every_signal_matters")
def cached_by_shape(scores, n):
    """Caches the ranking by the size of the pool: other scores, old ranking (scikit-activeml's ProbCover)."""
    if len(scores) not in _last:
        _last[len(scores)] = np.argsort(-scores, kind="stable")
    return _last[len(scores)][:n].copy()


@impersonates("select", "top", "quiet")
def divides_by_range(scores, n):
    """Scales the scores by their range, which copies do not have."""
    return np.argsort(-(scores - scores.min()) / (scores.max() - scores.min()), kind="stable")[:n]


@impersonates("select", "top", "inputs_unwritten")
def marks_taken(scores, n):
    """Strikes a pick out by writing -inf into the scores."""
    picks = np.empty(n, dtype=np.int64)
    for step in range(n):
        picks[step] = int(np.argmax(scores))
        scores[picks[step]] = -np.inf
    return picks


@impersonates("select", "random", "repeatable")
def own_entropy(sample_keys, n, rng):
    """Ignores the generator it is given and makes one from the system's entropy."""
    return np.random.default_rng().permutation(len(sample_keys))[:n]


@impersonates("select", "random", "rng_decides", GOLDEN)
def fixed_seed(sample_keys, n, rng):
    """Seed 0 inside: the same draw for every seed."""
    return np.random.default_rng(0).permutation(len(sample_keys))[:n]


@impersonates("select", "random", "copies_distinct", "distinct_in_range", GOLDEN)
def with_replacement(sample_keys, n, rng):
    """Draws with replacement."""
    return rng.integers(len(sample_keys), size=n)


@impersonates("select", "random", "greedy_prefix", GOLDEN)
def never_the_last(sample_keys, n, rng):
    """The last candidate is taken only when nothing else is left."""
    order = np.append(rng.permutation(len(sample_keys) - 1), len(sample_keys) - 1)
    return np.concatenate([order[:n][::-1], order[n:]])[:n]


@impersonates("select", "random", "greedy_prefix")
def set_of_draws(sample_keys, n, rng):
    """A set: the order of acquisition is lost."""
    return np.array(sorted(rng.permutation(len(sample_keys))[:n].tolist()))


@impersonates("select", "kcenter_greedy", "one_index_space", GOLDEN)
def unmapped_first_pick(embeddings, labeled_embeddings, n):
    """epig: all points in one array, and the first pick is not mapped back to it."""
    points = np.concatenate([labeled_embeddings, embeddings])
    picks, _ = farthest_first(embeddings, labeled_embeddings, n)
    return np.concatenate([picks[:1], picks[1:] + len(points) - len(embeddings)])


@impersonates("select", "kcenter_greedy", "every_signal_matters", GOLDEN)
def forgotten_centres(embeddings, labeled_embeddings, n):
    """Starts as if nothing were labelled."""
    picks, _ = farthest_first(embeddings, embeddings[:0], n)
    return picks


@impersonates("select", "kcenter_greedy", "copies_distinct", GOLDEN)
def taken_not_struck(embeddings, labeled_embeddings, n):
    """A taken point has distance 0, which among copies is still the greatest (distil's CoreSet)."""
    wide = embeddings.astype(np.float64)
    nearest = np.full(len(wide), np.inf)
    if len(labeled_embeddings):
        nearest = squared_distances(wide, labeled_embeddings).min(axis=1)
    picks = []
    for _ in range(n):
        picks.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, squared_distances(wide, wide[picks[-1:]])[:, 0])
    return np.array(picks)


@impersonates("select", "kcenter_greedy", GOLDEN)
def last_pick_not_counted(embeddings, labeled_embeddings, n):
    """Off by one: distances to the latest pick are not looked at."""
    wide = embeddings.astype(np.float64)
    picks: list[int] = []
    for _ in range(n):
        known = np.concatenate([labeled_embeddings, wide[picks[:-1]]]) if picks[:-1] else labeled_embeddings
        gap = squared_distances(wide, known).min(axis=1) if len(known) else np.full(len(wide), 1.0)
        gap[picks] = -1.0
        picks.append(int(np.argmax(gap)))
    return np.array(picks)


@impersonates("select", "kcenter_greedy", "quiet")
def root_of_negative(embeddings, labeled_embeddings, n):
    """DeepAL: the square root of distances that cancelled to slightly below zero."""
    points = np.concatenate([embeddings, labeled_embeddings]).astype(np.float64)
    norms = (points**2).sum(axis=1)
    gaps = np.nan_to_num(np.sqrt(norms[:, None] + norms[None, :] - 2.0 * points @ points.T))
    size, picks, known = len(embeddings), [], list(range(len(embeddings), len(points)))
    for _ in range(n):
        nearest = (
            gaps[:size, known].min(axis=1) if known else -((points[:size] - points[:size].mean(axis=0)) ** 2).sum(1)
        )
        nearest[picks] = -np.inf
        picks.append(int(np.argmax(nearest)))
        known.append(picks[-1])
    return np.array(picks)


@impersonates("select", "kcenter_greedy", "no_label_yet")
def needs_a_label(embeddings, labeled_embeddings, n):
    """small-text, distil: an empty labelled set crashes."""
    squared_distances(embeddings, labeled_embeddings).min(axis=1)
    return farthest_first(embeddings, labeled_embeddings, n)[0]


@impersonates("select", "kcenter_greedy", "inputs_unwritten")
def normalises_in_place(embeddings, labeled_embeddings, n):
    """Centres the caller's array in place."""
    embeddings -= embeddings[0]
    return farthest_first(embeddings, labeled_embeddings - embeddings[0], n)[0]


@impersonates("select", "kcenter_greedy", "one_index_space", "distinct_in_range", GOLDEN)
def picks_labelled(embeddings, labeled_embeddings, n):
    """Traverses labelled and unlabelled points alike."""
    points = np.concatenate([labeled_embeddings, embeddings])
    return farthest_first(points, points[:0], n)[0]


def queued(points, candidates, k, rng, density):
    """The skeleton of TypiClust with the measure of density left open."""
    assigned, _ = kmeans(points, k, rng)
    queues = []
    for cluster in range(k):
        members = np.flatnonzero(assigned == cluster)
        ranked = members[np.argsort(-density(points[members]), kind="stable")]
        queues.append([int(member) for member in ranked if member < candidates])
    return queues, np.bincount(assigned, minlength=k), np.bincount(assigned[candidates:], minlength=k)


def drained(queues, size, taken, n):
    picks = []
    while len(picks) < n:
        chosen = min((c for c in range(len(queues)) if queues[c]), key=lambda c: (size[c] <= 5, taken[c], -size[c], c))
        picks.append(queues[chosen].pop(0))
        taken[chosen] += 1
    return np.array(picks)


def clustered(candidates, labelled, n, rng, density, clusters=500):
    points = np.concatenate([candidates, labelled]).astype(np.float64)
    k = min(len(labelled) + n, len(points), clusters)
    return drained(*queued(points, len(candidates), k, rng, density), n)


@impersonates("select", "typiclust", "quiet")
def half_of_one(frozen_embeddings, labeled_frozen_embeddings, n, rng):
    """|cluster| // 2 is 0 for a cluster of one: the mean over no neighbours."""

    def density(members):
        gaps = np.sort(squared_distances(members, members), axis=1)[:, 1 : 1 + min(20, len(members) // 2)]
        with np.errstate(divide="ignore"):
            return 1.0 / np.sqrt(gaps).mean(axis=1)

    return clustered(frozen_embeddings, labeled_frozen_embeddings, n, rng, density)


def near(members):
    return typicality(members, max(min(20, len(members) // 2), 1))


@impersonates("select", "typiclust", GOLDEN)
def least_typical(frozen_embeddings, labeled_frozen_embeddings, n, rng):
    """The sparsest point of each cluster."""
    return clustered(frozen_embeddings, labeled_frozen_embeddings, n, rng, lambda members: -near(members))


@impersonates("select", "typiclust", "knob_edges")
def no_clusters(
    frozen_embeddings, labeled_frozen_embeddings, n, rng, *, clusters: Annotated[int, Range(0, None)] = 500
):
    """A knob's range admits 0 clusters."""
    return clustered(frozen_embeddings, labeled_frozen_embeddings, n, rng, near, clusters)


@impersonates("select", "typiclust", "knobs_valid")
def default_out_of_range(
    frozen_embeddings, labeled_frozen_embeddings, n, rng, *, clusters: Annotated[int, Range(1, 100)] = 500
):
    """A default outside its own range."""
    return clustered(frozen_embeddings, labeled_frozen_embeddings, n, rng, near, clusters)


@impersonates("select", "typiclust", "global_generators")
def global_start(frozen_embeddings, labeled_frozen_embeddings, n, rng):
    """k-means started from numpy.random, as scikit-learn does without random_state."""
    own = np.random.default_rng(np.random.randint(2**31))
    return clustered(frozen_embeddings, labeled_frozen_embeddings, n, own, near)
