"""k-means and typicality: what they promise, checked by loops over all pairs."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from al_plugin.math import clustering
from al_plugin.math.clustering import (
    _may_be_typical,
    cluster_means,
    kmeans,
    kmeans_of_sample,
    kmeans_plus_plus,
    most_typical,
    nearest_index,
    typicality,
)

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=80)
SEEDS = st.integers(0, 2**32 - 1)
CLOUDS = st.lists(st.tuples(st.integers(-6, 6), st.integers(-6, 6)), min_size=1, max_size=14).map(
    lambda rows: np.array(rows, dtype=np.float64)
)


def cost(points, assigned, centers):
    return float(((points - centers[assigned]) ** 2).sum())


@REPEATABLE
@given(CLOUDS, SEEDS, st.data())
def test_no_cluster_is_empty(points, seed, data):
    """Every one of the k clusters has a member, also where points are copies; centers are the means."""
    k = data.draw(st.integers(1, len(points)))
    assigned, centers = kmeans(points, k, np.random.default_rng(seed))
    assert sorted(set(assigned.tolist())) == list(range(k))
    for cluster in range(k):
        np.testing.assert_allclose(centers[cluster], points[assigned == cluster].mean(axis=0), atol=1e-12)


@REPEATABLE
@given(CLOUDS, SEEDS, st.data())
def test_objective_never_rises(points, seed, data):
    """One iteration more never costs more."""
    k = data.draw(st.integers(1, len(points)))
    costs = []
    for iterations in range(1, 8):
        assigned, centers = kmeans(points, k, np.random.default_rng(seed), iterations=iterations)
        costs.append(cost(points, assigned, centers))
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(costs))


@REPEATABLE
@given(CLOUDS, SEEDS)
def test_converged_points_are_with_their_nearest_center(points, seed):
    """At the end no point is nearer to another center, unless it was moved to fill an empty cluster."""
    distinct = np.unique(points, axis=0)
    k = max(len(distinct) // 2, 1)
    assigned, centers = kmeans(distinct, k, np.random.default_rng(seed))
    gaps = ((distinct[:, None] - centers[None]) ** 2).sum(axis=2)
    assert (gaps[np.arange(len(distinct)), assigned] <= gaps.min(axis=1) + 1e-9).all()


@REPEATABLE
@given(CLOUDS, SEEDS)
def test_as_many_clusters_as_points(points, seed):
    """K = N: each point is alone, whether or not points coincide."""
    assigned, centers = kmeans(points, len(points), np.random.default_rng(seed))
    assert sorted(assigned.tolist()) == list(range(len(points)))
    np.testing.assert_array_equal(centers[assigned], points)


def test_copies_only():
    """Nothing but copies: k clusters all the same, at cost 0."""
    points = np.full((9, 2), 3.0)
    assigned, centers = kmeans(points, 4, np.random.default_rng(0))
    assert len(set(assigned.tolist())) == 4
    np.testing.assert_array_equal(centers, points[:4])


@pytest.mark.parametrize("seed", range(20))
def test_separate_blobs_are_found(seed):
    """Five far blobs, five clusters: each blob is one cluster, for every seed."""
    rng = np.random.default_rng(100)
    blobs = np.repeat(np.arange(5), 30)
    points = 1000.0 * np.array([[0, 0], [9, 0], [0, 9], [9, 9], [5, 5]])[blobs] + rng.normal(size=(150, 2))
    assigned, _ = kmeans(points, 5, np.random.default_rng(seed))
    assert len({(blob, cluster) for blob, cluster in zip(blobs, assigned, strict=True)}) == 5


def test_same_seed_same_clusters():
    """Chance comes from the generator alone, and another seed may give other clusters."""
    points = np.random.default_rng(0).normal(size=(200, 3))
    first = kmeans(points, 8, np.random.default_rng(1))
    again = kmeans(points, 8, np.random.default_rng(1))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert any(not np.array_equal(first[0], kmeans(points, 8, np.random.default_rng(s))[0]) for s in range(2, 6))


@pytest.mark.parametrize("k", [0, 4, -1])
def test_impossible_k(k):
    """No clusters, or more than points."""
    with pytest.raises(ValueError, match=f"asked for {k} clusters of 3"):
        kmeans(np.zeros((3, 2)), k, np.random.default_rng(0))


def test_start_follows_the_squared_distances():
    """k-means++: the second center is drawn in proportion to D², never a copy of the first."""
    points = np.array([[0.0], [0.0], [1.0], [3.0]])
    counts = np.zeros(4)
    runs = 4000
    for seed in range(runs):
        centers = kmeans_plus_plus(points, 2, np.random.default_rng(seed))
        if centers[0, 0] == 0.0:
            counts[int(centers[1, 0])] += 1
    assert counts[0] == 0
    share = counts[3] / counts.sum()
    assert abs(share - 0.9) < 4.5 * math.sqrt(0.9 * 0.1 / counts.sum())


def test_start_at_any_scale():
    """The one point that lies apart, however near and wherever it stands, is the other center."""
    for seed in range(30):
        centers = kmeans_plus_plus(np.array([[0.0], [0.0], [0.0], [0.001]]), 2, np.random.default_rng(seed))
        assert sorted(centers[:, 0].tolist()) == [0.0, 0.001]


def test_start_without_distances_left_is_uniform():
    """Once all points coincide with a center the next is any of them: two in three are zeros here."""
    points = np.array([[0.0], [0.0], [1.0]])
    third = [kmeans_plus_plus(points, 3, np.random.default_rng(seed))[2, 0] for seed in range(2000)]
    assert abs(np.mean(third) - 1 / 3) < 4.5 * math.sqrt(2 / 9 / 2000)


def test_start_on_copies():
    """Where every remaining distance is zero the draw is uniform instead of failing."""
    assert kmeans_plus_plus(np.ones((3, 2)), 3, np.random.default_rng(0)).tolist() == [[1.0, 1.0]] * 3


@REPEATABLE
@given(CLOUDS, CLOUDS)
def test_nearest_index_is_the_first_nearest(points, centers):
    """Index and squared distance of the nearest center, ties to the first."""
    gaps = ((points[:, None] - centers[None]) ** 2).sum(axis=2)
    index, squared = nearest_index(points, centers)
    assert index.tolist() == gaps.argmin(axis=1).tolist()
    assert squared.tolist() == gaps.min(axis=1).tolist()


@REPEATABLE
@given(CLOUDS, SEEDS, st.data())
def test_cluster_means(points, seed, data):
    """Means by a loop over clusters."""
    k = data.draw(st.integers(1, len(points)))
    assigned = np.random.default_rng(seed).permutation(np.arange(len(points)) % k)
    means = cluster_means(points, assigned, np.bincount(assigned, minlength=k))
    np.testing.assert_allclose(means, [points[assigned == c].mean(axis=0) for c in range(k)], atol=1e-12)


def brute_typicality(points, neighbours):
    values = []
    for i, point in enumerate(points):
        gaps = sorted(math.dist(point, other) for j, other in enumerate(points) if j != i)
        nearest = gaps[:neighbours]
        values.append(math.inf if not nearest or sum(nearest) == 0 else len(nearest) / sum(nearest))
    return values


@REPEATABLE
@given(CLOUDS, st.integers(1, 20))
def test_typicality_is_the_inverse_mean_distance(points, neighbours):
    """To the k nearest others, by a loop over all pairs; +inf where they are copies."""
    np.testing.assert_allclose(typicality(points, neighbours), brute_typicality(points, neighbours), rtol=1e-12)


@pytest.mark.parametrize("neighbours", [1, 2, 19, 20, 698, 699, 1000])
def test_typicality_of_many_points(neighbours):
    """More points than a sorting network takes at once, up to as many neighbours as there are."""
    points = np.random.default_rng(4).normal(size=(700, 3))
    gaps = np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))
    np.fill_diagonal(gaps, np.inf)
    expected = 1.0 / np.sort(gaps, axis=1)[:, : min(neighbours, 699)].mean(axis=1)
    np.testing.assert_allclose(typicality(points, neighbours), expected, rtol=1e-9)


def test_typiclust_tiny_cluster():
    """Peer bug: |cluster| // 2 = 0 neighbours for a cluster of one gives 0/0; a lone point is +inf typical."""
    assert typicality(np.array([[1.0, 2.0]]), 1).tolist() == [math.inf]
    assert typicality(np.array([[1.0, 2.0]]), 0).tolist() == [math.inf]
    assert typicality(np.array([[0.0, 0.0], [3.0, 4.0]]), 1).tolist() == [0.2, 0.2]


def test_typicality_is_greatest_at_the_densest_point():
    """The middle of a star; moving, turning and scaling all points keeps the ranking."""
    star = np.array([[0, 0], [3, 1], [-2, 4], [-5, -1], [1, -6], [7, 7], [9, -8]], dtype=np.float64)
    order = np.argsort(-typicality(star, 3), kind="stable")
    assert order[0] == 0
    turned = np.stack([star[:, 1], -star[:, 0]], axis=1) * 4 + 1024
    assert np.argsort(-typicality(turned, 3), kind="stable").tolist() == order.tolist()


def test_blocks_do_not_show(monkeypatch):
    """Neither nearest centers nor typicality depend on the size of the blocks."""
    rng = np.random.default_rng(2)
    points = rng.integers(-30, 30, size=(300, 3)).astype(np.float64)
    whole = typicality(points, 7), nearest_index(points, points[:9])
    for block in (1, 64, 299):
        monkeypatch.setattr(clustering, "_BLOCK", block)
        np.testing.assert_array_equal(typicality(points, 7), whole[0])
        np.testing.assert_array_equal(nearest_index(points, points[:9]), whole[1])


@pytest.mark.parametrize("weights", [None, np.array([1.0, 2.0, 0.5, 4.0, 1.0])])
def test_start_of_three_follows_the_law(weights):
    """χ² over ordered triples against the probabilities in closed form, with and without weights."""
    line = np.array([0.0, 1.0, 3.0, 3.5, 7.0])
    share = np.ones(5) if weights is None else weights
    gaps = (line[:, None] - line[None]) ** 2
    expected = np.zeros((5, 5, 5))
    for i in range(5):
        second = share * gaps[i] / (share * gaps[i]).sum()
        for j in range(5):
            third = share * np.minimum(gaps[i], gaps[j])
            expected[i, j] = second[j] / 5 * third / third.sum()
    counts, rng = np.zeros((5, 5, 5)), np.random.default_rng(3)
    for _ in range(1500):
        drawn = kmeans_plus_plus(line[:, None], 3, rng, weights)[:, 0]
        counts[tuple(np.searchsorted(line, drawn))] += 1
    assert counts[expected == 0].sum() == 0
    often = expected * 1500 >= 5
    observed = np.append(counts[often], counts[~often].sum())
    due = np.append(expected[often], expected[~often].sum()) * 1500
    assert stats.chisquare(observed, due).pvalue > 1e-4


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_nearest_index_does_not_depend_on_the_precision_of_products(offset):
    """Centers that single precision cannot tell apart are told apart."""
    rng = np.random.default_rng(9)
    points = rng.normal(size=(300, 5)) + offset
    centers = np.repeat(points[:20], 2, axis=0)
    centers[1::2] += 1e-6 * rng.normal(size=(20, 5))
    gaps = ((points[:, None] - centers[None]) ** 2).sum(axis=2)
    index, _ = nearest_index(points, centers)
    least = gaps.min(axis=1)
    error = 1e-12 * (points**2).sum(axis=1)
    assert (gaps[np.arange(300), index] <= least + error).all()


@pytest.mark.parametrize(("points", "width"), [(1100, 64), (1500, 3), (2000, 2)])
def test_the_most_typical_of_many_are_those_of_the_whole_table(points: int, width: int) -> None:
    """Only a few are compared in full, and copies, whose distances tie, among them."""
    values = np.random.default_rng(points).normal(size=(points, width))
    values[200:230] = values[7]
    first, n = points - 50, 60
    expected = np.argsort(-typicality(values, 20)[:first], kind="stable")[:n]
    np.testing.assert_array_equal(most_typical(values, 20, n, first), expected)
    assert len(_may_be_typical(values, 20, n, first)) < first / 4


def test_clusters_of_a_sample_hold_the_others_too() -> None:
    points = np.random.default_rng(3).normal(size=(400, 3)) + 20 * np.eye(3)[np.arange(400) % 3]
    sample = np.arange(90)
    found = kmeans_of_sample(points, sample, 3, np.random.default_rng(0))
    own, centers = kmeans(points[sample], 3, np.random.default_rng(0))
    np.testing.assert_array_equal(found[:90], own)
    np.testing.assert_array_equal(found, ((points[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1))
