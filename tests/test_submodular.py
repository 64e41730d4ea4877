"""Facility location and the shortlist strategies against naive and exhaustive search."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin.math.clustering import cluster_means, kmeans
from al_plugin.math.submodular import facility_location, unit_rows
from al_plugin.strategies.select.clusters import cluster_margin
from al_plugin.strategies.select.coverage import max_herding
from al_plugin.strategies.select.uncertain_and_diverse import max_cover, weighted_kmeans


def similarity(targets: np.ndarray, facilities: np.ndarray) -> np.ndarray:
    return (1 + targets @ facilities.T) / 2


def naive(targets: np.ndarray, facilities: np.ndarray, n: int) -> list[int]:
    s, covered, picks = similarity(targets, facilities), np.zeros(len(targets)), []
    for _ in range(n):
        gains = np.maximum(s - covered[:, None], 0).sum(axis=0)
        gains[picks] = -1
        picks.append(int(gains.argmax()))
        covered = np.maximum(covered, s[:, picks[-1]])
    return picks


@given(st.integers(0, 10_000), st.integers(1, 8))
@settings(max_examples=60)
def test_lazy_equals_naive(seed: int, n: int) -> None:
    points = unit_rows(np.random.default_rng(seed).normal(size=(40, 3)))
    picks, values = facility_location(points, points[:20], n)
    assert picks.tolist() == naive(points, points[:20], n)
    assert (np.diff(values) >= -1e-12).all()


@pytest.mark.parametrize("seed", range(20))
def test_greedy_is_within_the_bound_of_the_optimum(seed: int) -> None:
    """F >= (1 - 1/e) OPT, by trying every subset."""
    points = unit_rows(np.random.default_rng(seed).normal(size=(9, 2)))
    s = similarity(points, points)
    _, values = facility_location(points, points, 3)
    best = max(s[:, list(subset)].max(axis=1).sum() for subset in combinations(range(9), 3))
    assert values[-1] >= (1 - 1 / np.e) * best
    assert values[-1] == pytest.approx(s[:, facility_location(points, points, 3)[0]].max(axis=1).sum())


@pytest.mark.parametrize("seed", range(10))
def test_herding_equals_naive_with_labels(seed: int) -> None:
    """Every pick has the greatest gain; coverage by the labelled counts. Two samples that are each other's
    only neighbour tie exactly, so gains are compared, not picks."""
    rng = np.random.default_rng(seed)
    points, labeled = rng.normal(size=(25, 3)), rng.normal(size=(4, 3))
    units, known = unit_rows(points), unit_rows(labeled)
    kernel = np.exp(-((units[:, None] - units[None]) ** 2).sum(-1) / 0.5**2)
    covered = np.exp(-((units[:, None] - known[None]) ** 2).sum(-1) / 0.5**2).max(axis=1)
    for pick in max_herding(points, labeled, 6, sigma=0.5):
        gains = np.maximum(kernel - covered[:, None], 0).sum(axis=0)
        assert gains[pick] == pytest.approx(gains.max(), rel=1e-9)
        covered = np.maximum(covered, kernel[:, pick])


def test_copies_are_picked_last_and_in_order() -> None:
    """Copies of a pick add nothing, however the product rounds; ties go to the first position."""
    base = np.random.default_rng(0).normal(size=(5, 7))
    points = unit_rows(np.repeat(base, 4, axis=0))
    picks, _ = facility_location(points, points, 20)
    assert sorted(picks[:5] // 4) == list(range(5))
    assert (picks[:5] % 4 == 0).all()
    assert picks[5:].tolist() == [p for p in range(20) if p % 4]


def test_a_row_of_zeros_is_similar_to_nothing_in_particular() -> None:
    units = unit_rows(np.array([[0.0, 0.0], [3.0, 4.0]]))
    np.testing.assert_allclose(units, [[0, 0], [0.6, 0.8]])


SCORES = np.random.default_rng(3).permutation(60) / 64
POINTS = np.random.default_rng(4).normal(size=(60, 5))


def test_factor_one_is_the_best_scores() -> None:
    best = set(np.argsort(-SCORES)[:7].tolist())
    assert set(max_cover(SCORES, POINTS, 7, factor=1.0).tolist()) == best
    assert set(weighted_kmeans(SCORES, POINTS, 7, np.random.default_rng(0), factor=1.0).tolist()) == best


@pytest.mark.parametrize("factor", [1.5, 3.0, 1e9])
def test_picks_lie_within_the_shortlist(factor: float) -> None:
    best = set(np.argsort(-SCORES)[: min(60, int(7 * factor))].tolist())
    assert set(max_cover(SCORES, POINTS, 7, factor=factor).tolist()) <= best
    picks = weighted_kmeans(SCORES, POINTS, 7, np.random.default_rng(1), factor=factor)
    assert set(picks.tolist()) <= best
    assert (np.diff(SCORES[picks]) <= 0).all(), "best score first"


def test_a_factor_beyond_the_pool_is_plain_facility_location() -> None:
    units = unit_rows(POINTS)
    expected = {int(i) for i in facility_location(units, units, 6)[0]}
    assert set(max_cover(SCORES, POINTS, 6, factor=1e9).tolist()) == expected


def test_integer_weights_are_copies() -> None:
    """The weighted mean of a cluster is the mean with each point repeated."""
    rng = np.random.default_rng(5)
    points, weights, assigned = rng.normal(size=(30, 3)), rng.integers(1, 5, size=30), np.arange(30) % 4
    ours = cluster_means(points, assigned, np.bincount(assigned), weights.astype(float))
    copies, theirs = np.repeat(points, weights, axis=0), np.repeat(assigned, weights)
    np.testing.assert_allclose(ours, cluster_means(copies, theirs, np.bincount(theirs)), rtol=1e-12)


def test_constant_weights_are_plain_kmeans() -> None:
    one = kmeans(POINTS, 5, np.random.default_rng(2), weights=np.ones(60))[0]
    assert one.tolist() == kmeans(POINTS, 5, np.random.default_rng(2))[0].tolist()


def test_weights_pull_the_centers() -> None:
    """Two clusters of a line: the weighted objective is what is minimised."""
    line = np.array([[0.0], [1.0], [10.0], [11.0]])
    _, centers = kmeans(line, 2, np.random.default_rng(0), weights=np.array([3.0, 1.0, 1.0, 3.0]))
    assert sorted(centers[:, 0]) == pytest.approx([0.25, 10.75])


def test_cluster_margin_of_more_than_the_pool_ends() -> None:
    """Once every cluster was empty, the turns went on without end."""
    with pytest.raises(ValueError, match="asked for 4 picks of 3 candidates"):
        cluster_margin(np.arange(3.0), np.eye(3), 4, np.random.default_rng(0))
