"""ProbCover against sets, every batch, other covers, and the faults of other libraries."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin.math.ball_cover import greedy_balls, pure_radius
from al_plugin.math.submodular import greedy_cover, unit_rows
from al_plugin.rounds.select import run_select
from al_plugin.strategies import registry

NONE = np.empty((0, 2))


def neighbours(points: np.ndarray, radius: float) -> list[set[int]]:
    """By differences: who is strictly nearer, and oneself."""
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    return [set(np.flatnonzero(row < radius**2)) | {at} for at, row in enumerate(squared)]


def cover(points: np.ndarray, radius: float, covered: np.ndarray, n: int) -> tuple[list[int], list[int]]:
    picks, gains = greedy_balls(points, radius, covered, n)
    return picks.tolist(), gains.tolist()


def prob_cover(points: np.ndarray, labeled: np.ndarray, n: int, seed: int = 0, **knobs: float) -> list[int]:
    signals = {"frozen_embeddings": points, "labeled_frozen_embeddings": labeled}
    rng = np.random.default_rng(seed)
    return run_select(registry.load("select", "prob_cover"), signals, n, rng, knobs).tolist()


def angles(*degrees: float) -> np.ndarray:
    turned = np.radians(np.array(degrees))
    return np.column_stack([np.cos(turned), np.sin(turned)])


@given(st.integers(0, 10_000), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_equals_greedy_on_sets(seed: int, n: int) -> None:
    """Each pick covers most of what is left, ties to the first; coverage only grows."""
    rng = np.random.default_rng(seed)
    points, covered = rng.normal(size=(30, 2)), rng.random(30) < 0.2
    balls, done = neighbours(points, 0.6), set(np.flatnonzero(covered))
    picks, gains = cover(points, 0.6, covered, n)
    for pick, gain in zip(picks, gains, strict=True):
        sizes = [len(ball - done) for ball in balls]
        if max(sizes) == 0:
            break
        assert (pick, gain) == (sizes.index(max(sizes)), max(sizes))
        done |= balls[pick]
    assert min(gains) >= 0


@pytest.mark.parametrize("seed", range(15))
def test_within_the_bound_of_the_optimum(seed: int) -> None:
    """At least 1 - 1/e of the best of all batches of three."""
    points = np.random.default_rng(seed).normal(size=(12, 2))
    balls = neighbours(points, 0.7)
    best = max(len(set.union(*(balls[one] for one in some))) for some in combinations(range(12), 3))
    picks, gains = cover(points, 0.7, np.zeros(12, dtype=bool), 3)
    covered = len(set.union(*(balls[one] for one in picks)))
    assert covered >= (1 - 1 / np.e) * best
    # Where the greedy is done sooner it starts anew, and those gains count again.
    assert sum(gains) >= covered


def test_a_tiny_radius_covers_only_oneself() -> None:
    points = np.random.default_rng(0).normal(size=(20, 3))
    assert cover(points, 1e-9, np.zeros(20, dtype=bool), 6) == ([0, 1, 2, 3, 4, 5], [1] * 6)


def test_a_great_radius_covers_all_at_once() -> None:
    points = np.random.default_rng(0).normal(size=(20, 3))
    picks, gains = cover(points, 1e9, np.zeros(20, dtype=bool), 1)
    assert (picks, gains) == ([0], [20])


@pytest.mark.parametrize("seed", range(5))
def test_is_the_cover_of_a_top_hat_kernel(seed: int) -> None:
    """UHerding with U = 1 and the indicator of the ball."""
    points = unit_rows(np.random.default_rng(seed).normal(size=(60, 3)))

    def top_hat(targets: np.ndarray, facilities: np.ndarray) -> np.ndarray:
        return (((targets[:, None] - facilities[None]) ** 2).sum(axis=2) < 0.5**2).astype(float)

    expected, values = greedy_cover(points, points, 4, top_hat)
    picks, gains = cover(points, 0.5, np.zeros(60, dtype=bool), 4)
    assert picks == expected.tolist()
    assert np.cumsum(gains).tolist() == values.tolist()


def test_labelled_balls_count() -> None:
    """The larger bundle holds a label, so the smaller one is asked."""
    points = angles(0, 1, 2, 3, 90, 91)
    assert prob_cover(points, NONE, 1, delta=0.2) == [0]
    assert prob_cover(points, angles(1.5), 1, delta=0.2) == [4]


@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.8, 0.9, 1.0]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_pure_radius_is_the_largest(seed: int, purity: float, whole: bool) -> None:
    """Of all distances and infinity, by looking into each ball; whole numbers make copies and equal distances."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 25))
    points = rng.integers(-4, 5, (size, 2)).astype(float) if whole else rng.normal(size=(size, 2))
    groups = rng.integers(0, 3, size)
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=2)

    def share(bound: float) -> float:
        balls = (squared < bound) | np.eye(size, dtype=bool)
        return float(np.mean([np.mean(groups[ball] == groups[at]) for at, ball in enumerate(balls)]))

    largest = max(bound for bound in [*squared.ravel(), np.inf] if share(bound) >= purity - 1e-9)
    radius = pure_radius(points, groups, purity)
    np.testing.assert_array_equal(squared < radius**2, squared < largest)


def test_pure_radius_of_a_large_pool_is_of_a_spread_part() -> None:
    """Two far halves, each one group: balls reach from one to the other, however the rows are ordered."""
    rng = np.random.default_rng(0)
    for order in (np.arange(6000), rng.permutation(6000)):
        groups = np.repeat([0, 1], 3000)[order]
        points = rng.random((6000, 2)) + 10.0 * groups[:, None]
        assert 9.0 * np.sqrt(2) < pure_radius(points, groups, 0.999) < 11.0 * np.sqrt(2)


def test_one_group_is_pure_at_every_radius() -> None:
    assert pure_radius(np.zeros((4, 2)), np.zeros(4, dtype=int), 0.95) == np.inf


@pytest.mark.parametrize("kept", [2**13, 0])
def test_the_last_part_of_a_block_counts(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authors' code drops what remains after whole batches; here all are neighbours, whatever the size."""
    monkeypatch.setattr("al_plugin.math.ball_counts._KEPT", kept)
    for size in (1, 511, 513, 1100):
        assert cover(np.zeros((size, 2)), 1.0, np.zeros(size, dtype=bool), 1) == ([0], [size])


@pytest.mark.parametrize("kept", [2**13, 0])
@pytest.mark.parametrize("radius", [0.3, 0.8, 5.0])
def test_starting_anew_is_greedy_beside_the_picks(radius: float, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once all is covered only the picks count as covered; kept pairs and computed ones agree."""
    monkeypatch.setattr("al_plugin.math.ball_counts._KEPT", kept)
    points = np.random.default_rng(7).normal(size=(50, 2))
    balls, done, taken = neighbours(points, radius), set(), []
    for _ in range(50):
        left = [one for one in range(50) if one not in taken]
        if not any(balls[one] - done for one in left):
            done = set(taken)
        best = max(left, key=lambda one: (len(balls[one] - done), -one))
        taken.append(best)
        done |= balls[best]
    assert cover(points, radius, np.zeros(50, dtype=bool), 50)[0] == taken


def test_everything_covered_still_gives_new_picks() -> None:
    """The authors' code gives position 0 again once all is covered; small-text 20 times of 20."""
    points = angles(0, 1, 2, 90, 91, 92)
    picks = prob_cover(points, NONE, 6, delta=0.2)
    assert sorted(picks) == list(range(6))
    assert [pick // 3 for pick in picks[:2]] == [0, 1]
    # All is covered by labels from the start.
    assert len(set(prob_cover(points, angles(1, 91), 4, delta=0.2))) == 4


def test_edges_into_what_is_covered_go() -> None:
    """small-text takes only the edges of the chosen point away: a second point of the same bundle keeps its count."""
    points = angles(0, 1, 2, 3, 4, 90, 91)
    assert [pick >= 5 for pick in prob_cover(points, NONE, 2, delta=0.2)] == [False, True]


def test_an_outlier_is_not_first() -> None:
    """scikit-activeml takes unlabelled samples outside the candidates for labelled, and the outlier first."""
    assert prob_cover(angles(200, *range(20)), NONE, 1, delta=0.3) != [0]


def test_estimated_radius_follows_the_clusters() -> None:
    """Three bundles, three clusters: one pick in each, whatever the seed."""
    points = angles(*(base + step for base in (0, 120, 240) for step in range(10)))
    for seed in range(10):
        assert sorted(pick // 10 for pick in prob_cover(points, NONE, 3, seed, clusters=3)) == [0, 1, 2]
