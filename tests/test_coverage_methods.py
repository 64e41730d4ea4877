"""Density weighting, herding, facility location, clusters and determinants: brute force and their papers' properties."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin.math.agglomerative import average_linkage
from al_plugin.math.density import mean_similarity
from al_plugin.math.determinant import greedy_determinant
from al_plugin.math.submodular import gaussian, greedy_cover, unit_rows
from al_plugin.rounds.score import run_score
from al_plugin.rounds.select import run_select
from al_plugin.strategies import registry


def pick(name: str, signals: dict[str, np.ndarray], n: int, seed: int = 0, **knobs: float) -> list[int]:
    return run_select(registry.load("select", name), signals, n, np.random.default_rng(seed), knobs).tolist()


def predictions(rng: np.random.Generator, rows: int, classes: int = 4) -> np.ndarray:
    return np.log(rng.dirichlet(np.full(classes, 0.7), size=rows))


def margins(logs: np.ndarray) -> np.ndarray:
    ordered = np.sort(np.exp(logs), axis=1)
    return ordered[:, -1] - ordered[:, -2]


# --- density weighting -------------------------------------------------------------------------


def weighted(logs: np.ndarray, points: np.ndarray, **knobs: float | str) -> np.ndarray:
    return run_score(registry.load("score", "density_weighted"), {"log_probs": logs, "embeddings": points}, knobs)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_mean_similarity_is_the_mean_over_pairs(seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(25, 4)) * 10.0 ** np.random.default_rng(seed).integers(-3, 4)
    cosines = points @ points.T / np.outer(*2 * [np.linalg.norm(points, axis=1)])
    found = mean_similarity(points)
    np.testing.assert_allclose(found, ((1 + cosines) / 2).mean(axis=1), rtol=1e-12)
    assert ((found > 0) & (found <= 1)).all()


@pytest.mark.parametrize(("base", "alone"), [("entropy", "entropy"), ("margin", "margin")])
def test_beta_zero_is_the_base(base: str, alone: str) -> None:
    """The margin is -(p1 - p2) as a score and 1 - (p1 - p2) as a factor, which must not be negative."""
    rng = np.random.default_rng(0)
    logs, points = predictions(rng, 30), rng.normal(size=(30, 3))
    plain = run_score(registry.load("score", alone), {"log_probs": logs}, {})
    shift = 1.0 if base == "margin" else 0.0
    np.testing.assert_allclose(weighted(logs, points, base=base, beta=0.0), plain + shift, atol=1e-12)


@pytest.mark.parametrize("base", ["entropy", "least_confidence", "margin"])
def test_an_isolated_point_is_never_above_an_equal_central_one(base: str) -> None:
    """alipy weighs by the mean distance and takes the outlier."""
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(size=(20, 3)) * 0.1 + [5, 0, 0], [[-5.0, 0, 0]]])
    logs = np.repeat(predictions(rng, 1), 21, axis=0)
    for beta in (0.5, 1.0, 4.0):
        scores = weighted(logs, points, base=base, beta=beta)
        assert scores[-1] < scores[:-1].min()


# --- UHerding and facility location ------------------------------------------------------------


def herd(logs: np.ndarray, points: np.ndarray, labeled: np.ndarray, n: int, **knobs: float) -> list[int]:
    signals = {"log_probs": logs, "frozen_embeddings": points, "labeled_frozen_embeddings": labeled}
    return pick("uherding", signals, n, **knobs)


@given(st.integers(0, 10_000), st.floats(0.2, 2.0))
@settings(max_examples=40, deadline=None)
def test_lazy_weighted_cover_is_naive(seed: int, sigma: float) -> None:
    """Every pick has the greatest weighted gain of all; F is the sum it says."""
    rng = np.random.default_rng(seed)
    points, weights, covered = unit_rows(rng.normal(size=(30, 3))), rng.random(30), rng.random(30) * 0.3
    kernel = gaussian(sigma)(points, points)
    picks, values = greedy_cover(points, points, 6, gaussian(sigma), covered=covered, weights=weights)
    best = covered.copy()
    for at, value in zip(picks, values, strict=True):
        gains = weights @ np.maximum(kernel - best[:, None], 0)
        assert gains[at] == pytest.approx(gains.max(), rel=1e-9, abs=1e-11)
        best = np.maximum(best, kernel[:, at])
        assert value == pytest.approx(weights @ best)
    assert (np.diff(values) >= -1e-12).all()


@pytest.mark.parametrize("seed", range(10))
def test_weighted_cover_is_within_the_bound_of_the_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, weights = unit_rows(rng.normal(size=(10, 3))), rng.random(10)
    kernel = gaussian(0.7)(points, points)
    _, values = greedy_cover(points, points, 3, gaussian(0.7), weights=weights)
    best = max(weights @ kernel[:, list(some)].max(axis=1) for some in combinations(range(10), 3))
    assert (1 - 1 / np.e) * best <= values[-1] <= best + 1e-12


def test_a_vanishing_width_is_top_doubt() -> None:
    """σ → 0: everyone covers oneself only, so the smallest margins are taken in order."""
    rng = np.random.default_rng(2)
    logs, points = predictions(rng, 40), rng.normal(size=(40, 5))
    assert herd(logs, points, points[:0], 12, sigma=1e-4) == np.argsort(margins(logs), kind="stable")[:12].tolist()


def test_equal_doubt_is_max_herding() -> None:
    rng = np.random.default_rng(3)
    points, labeled = rng.normal(size=(50, 4)), rng.normal(size=(3, 4))
    logs = np.log(np.full((50, 4), 0.25))
    signals = {"frozen_embeddings": points, "labeled_frozen_embeddings": labeled}
    assert herd(logs, points, labeled, 10, sigma=0.8) == pick("max_herding", signals, 10, sigma=0.8)


def test_width_is_the_least_distance_of_different_labels() -> None:
    """Copies among the labelled do not count; without two different ones it is 1."""
    rng = np.random.default_rng(4)
    logs, points, labeled = predictions(rng, 40), rng.normal(size=(40, 3)), rng.normal(size=(5, 3))
    units = unit_rows(labeled)
    least = min(np.linalg.norm(a - b) for a, b in combinations(units, 2))
    doubled = np.concatenate([labeled, 3 * labeled])  # the same directions again
    for known in (labeled, doubled):
        assert herd(logs, points, known, 15) == herd(logs, points, known, 15, sigma=least)
    for known in (labeled[:0], labeled[:1], np.repeat(labeled[:1], 3, axis=0)):
        assert herd(logs, points, known, 15) == herd(logs, points, known, 15, sigma=1.0)


def test_a_surer_region_is_left_alone() -> None:
    """The larger group is certain, so the smaller one is asked."""
    angle = np.radians([0, 1, 2, 3, 4, 90, 91])
    points = np.column_stack([np.cos(angle), np.sin(angle)])
    certain, open_ = np.log([1 - 1e-9, 1e-9]), np.log([0.5, 0.5])
    logs = np.array([certain] * 5 + [open_] * 2)
    assert herd(logs, points, points[:0], 1, sigma=0.3)[0] >= 5


@pytest.mark.parametrize("seed", range(8))
def test_facility_location_by_every_pick(seed: int) -> None:
    """The gain of each pick is the greatest; labelled samples are facilities that are open already."""
    rng = np.random.default_rng(seed)
    points, labeled = rng.normal(size=(30, 3)), rng.normal(size=(seed % 4, 3))
    units, known = unit_rows(points), unit_rows(labeled)
    similarity = (1 + units @ units.T) / 2
    best = ((1 + units @ known.T) / 2).max(axis=1, initial=0.0)
    signals = {"frozen_embeddings": points, "labeled_frozen_embeddings": labeled}
    for at in pick("facility_location", signals, 6):
        gains = np.maximum(similarity - best[:, None], 0).sum(axis=0)
        assert gains[at] == pytest.approx(gains.max(), rel=1e-9)
        best = np.maximum(best, similarity[:, at])


# --- Cluster-Margin ----------------------------------------------------------------------------


def cluster(scores: np.ndarray, points: np.ndarray, n: int, seed: int = 0, **knobs: float) -> list[int]:
    return pick("cluster_margin", {"scores": scores, "frozen_embeddings": points}, n, seed, **knobs)


def bundles(*sizes: int) -> np.ndarray:
    """Groups far from each other, and each at another distance from the others."""
    rng = np.random.default_rng(5)
    return np.concatenate([rng.normal(size=(size, 2)) + 100.0 * 3.0**at for at, size in enumerate(sizes)])


@pytest.mark.parametrize("factor", [1.0, 1.5, 3.0, 1e9])
def test_picks_are_of_the_shortlist(factor: float) -> None:
    rng = np.random.default_rng(6)
    scores, points = rng.random(60), rng.normal(size=(60, 3))
    best = set(np.argsort(-scores)[: min(60, int(8 * factor))].tolist())
    assert set(cluster(scores, points, 8, factor=factor)) <= best


def test_factor_one_is_the_best_scores() -> None:
    rng = np.random.default_rng(7)
    scores, points = rng.random(60), rng.normal(size=(60, 3))
    for seed in range(5):
        assert set(cluster(scores, points, 9, seed, factor=1.0)) == set(np.argsort(-scores)[:9].tolist())


def test_small_clusters_first_and_each_in_turn() -> None:
    """Of groups of 6, 1, 3 and 1: the lone ones by score, then 3, then 6, then 3 again, then 6."""
    points = bundles(6, 1, 3, 1)
    group = np.repeat([0, 1, 2, 3], [6, 1, 3, 1])
    scores = np.linspace(0.1, 0.9, 11)
    for seed in range(10):
        picks = cluster(scores, points, 8, seed, clusters_per_pick=0.5)
        assert group[picks].tolist() == [3, 1, 2, 0, 2, 0, 2, 0]


def test_within_a_cluster_the_draw_is_even() -> None:
    """Any member, whatever its score, equally often: chi-square with 4 degrees of freedom below 25."""
    points, scores = bundles(5, 9), np.concatenate([np.linspace(0.1, 0.2, 5), np.linspace(0.3, 0.9, 9)])
    counts = np.bincount(
        [cluster(scores, points, 1, seed, factor=100, clusters_per_pick=2.0)[0] for seed in range(500)]
    )
    assert len(counts) == 5
    assert ((counts - 100) ** 2 / 100).sum() < 25


def test_clusters_do_not_depend_on_scores() -> None:
    """The clustering is of the points alone: it is the same in a round with other scores."""
    points, group = bundles(4, 7, 2), np.repeat([0, 1, 2], [4, 7, 2])
    for seed in range(5):
        scores = np.random.default_rng(seed).random(13)
        assert sorted(group[cluster(scores, points, 3, seed, clusters_per_pick=1.0)]) == [0, 1, 2]


def test_more_picks_than_candidates_end() -> None:
    """Asked for more than there are it is refused, not led on for ever."""
    with pytest.raises(Exception, match="asked for 5"):
        cluster(np.arange(3.0), bundles(3), 5)


@pytest.mark.parametrize("sizes", [(30, 20, 10), (1500, 900, 300)])
def test_average_linkage_finds_far_groups(sizes: tuple[int, ...]) -> None:
    """Also beyond the 2,000 points that have a tree: the rest joins the nearest mean."""
    points, group = bundles(*sizes), np.repeat(np.arange(len(sizes)), sizes)
    order = np.random.default_rng(8).permutation(len(points))
    assigned = average_linkage(points[order], len(sizes))
    assert len({(a, b) for a, b in zip(assigned, group[order], strict=True)}) == len(sizes)


def test_average_linkage_by_hand() -> None:
    """Merges by the mean of all distances between two clusters, on a line: not the nearest, nor the farthest, pair."""
    line = np.array([0.0, 1.0, 2.6, 5.0, 9.0, 9.5])[:, None]
    clusters = [[at] for at in range(6)]
    while len(clusters) > 1:
        for wanted in (len(clusters),):
            assigned = average_linkage(line, wanted)
            assert {frozenset(np.flatnonzero(assigned == one)) for one in set(assigned)} == {
                frozenset(one) for one in clusters
            }
        gaps = {
            (a, b): np.abs(line[clusters[a]] - line[clusters[b]].T).mean()
            for a, b in combinations(range(len(clusters)), 2)
        }
        a, b = min(gaps, key=gaps.__getitem__)
        clusters[a] += clusters.pop(b)


# --- MaxDet ------------------------------------------------------------------------------------


def kernel_of(points: np.ndarray, logs: np.ndarray, sigma: float) -> np.ndarray:
    q = np.exp(logs)
    return q[:, None] * np.exp(-((points[:, None] - points[None]) ** 2).sum(axis=2) / sigma**2) * q[None]


@pytest.mark.parametrize("seed", range(15))
def test_greedy_determinant_is_naive(seed: int) -> None:
    """Each pick has the largest determinant of all, computed whole; gains add up to log det."""
    rng = np.random.default_rng(seed)
    points, logs = rng.normal(size=(20, 3)), rng.normal(size=20)
    kernel = kernel_of(points, logs, 1.3)
    picks, gains = greedy_determinant(points, logs, 6, 1.3)
    for step in range(6):
        before = picks[:step].tolist()
        left = [one for one in range(20) if one not in before]
        values = [np.linalg.slogdet(kernel[np.ix_([*before, one], [*before, one])])[1] for one in left]
        assert left[int(np.argmax(values))] == picks[step]
        assert gains[: step + 1].sum() == pytest.approx(max(values), abs=1e-8)


def test_gains_fall() -> None:
    """log det is submodular, so no gain exceeds the one before."""
    rng = np.random.default_rng(9)
    _, gains = greedy_determinant(rng.normal(size=(200, 4)), rng.normal(size=200), 40, 1.0)
    assert (np.diff(gains) <= 1e-9).all()


def test_copies_of_picks_come_last_by_quality() -> None:
    """Three directions, each four times: one of each, then copies; with equal quality the first position."""
    points = np.repeat(np.eye(3), 4, axis=0)
    picks, gains = greedy_determinant(points, np.zeros(12), 12, 1.0)
    assert picks.tolist() == [0, 4, 8, 1, 2, 3, 5, 6, 7, 9, 10, 11]
    assert np.isfinite(gains[:3]).all()
    assert np.isneginf(gains[3:]).all()


def test_quality_and_diversity_are_traded() -> None:
    """Great quality: the best scores. None: spread, whatever the scores."""
    rng = np.random.default_rng(10)
    scores, points = rng.permutation(40) / 64, rng.normal(size=(40, 6))
    signals = {"scores": scores, "embeddings": points}
    best = np.argsort(-scores)
    assert pick("max_det", signals, 8, quality=1e6, factor=5.0) == best[:8].tolist()
    alone, _ = greedy_determinant(unit_rows(points[best]), np.zeros(40), 8, 1.0)
    assert pick("max_det", signals, 8, quality=0.0, factor=1e9) == best[alone].tolist()


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_determinant_keeps_to_the_shortlist(factor: float) -> None:
    rng = np.random.default_rng(11)
    scores, points = rng.random(50), rng.normal(size=(50, 3))
    best = set(np.argsort(-scores)[: int(6 * factor)].tolist())
    assert set(pick("max_det", {"scores": scores, "embeddings": points}, 6, factor=factor)) <= best


def test_near_copies_are_not_taken_together() -> None:
    """The two best scores are near-copies; the third is elsewhere and comes second."""
    points = np.array([[1.0, 0.0], [1.0, 1e-3], [0.0, 1.0], [-1.0, 0.0]])
    scores = np.array([1.0, 0.99, 0.9, 0.0])
    assert pick("max_det", {"scores": scores, "embeddings": points}, 2, factor=2.0) == [0, 2]
