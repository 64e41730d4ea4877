"""Robust k-center against every set of centers, and the greedy disks against their bound."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin.math.ball_counts import Balls
from al_plugin.math.center_program import best_centers, program
from al_plugin.math.geometry import farthest_first
from al_plugin.math.greedy_disks import greedy_disks, reached_radius
from al_plugin.math.robust_center import robust_centers
from al_plugin.rounds.select import run_noted
from al_plugin.strategies import registry


def reach(points: np.ndarray, centers: np.ndarray, outliers: int) -> float:
    """By differences, sorted: what all but the farthest need."""
    if outliers >= len(points):
        return 0.0
    gaps = np.sqrt(((points[:, None] - centers[None]) ** 2).sum(axis=2))
    return float(np.sort(gaps.min(axis=1, initial=np.inf))[len(points) - 1 - outliers])


def optimum(points: np.ndarray, labeled: np.ndarray, n: int, outliers: int) -> float:
    sets = combinations(range(len(points)), n)
    return min(reach(points, np.concatenate([labeled, points[list(one)]]), outliers) for one in sets)


def centers(points: np.ndarray, labeled: np.ndarray, n: int, outliers: int, *, exact: int = 1000, nodes: int = 1000):
    return robust_centers(points, labeled, n, outliers=outliers, exact_up_to=exact, sample=2048, nodes=nodes)


def instance(seed: int) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Up to 12 points, every other time whole numbers with copies and equal distances."""
    rng = np.random.default_rng(seed)
    size, width = int(rng.integers(2, 13)), int(rng.integers(1, 4))
    draw = (
        (lambda rows: rng.integers(0, 6, size=(rows, width)).astype(float))
        if seed % 2
        else (lambda rows: rng.normal(size=(rows, width)))
    )
    return draw(size), draw(int(rng.integers(0, 4))), int(rng.integers(1, min(5, size) + 1)), int(rng.integers(0, 4))


@pytest.mark.parametrize("seed", range(60))
def test_equals_brute_force(seed: int) -> None:
    points, labeled, n, outliers = instance(seed)
    found = centers(points, labeled, n, outliers)
    best = optimum(points, labeled, n, outliers)
    assert len(set(found.picks.tolist())) == n
    assert reach(points, np.concatenate([labeled, points[found.picks]]), outliers) == pytest.approx(best, abs=1e-9)
    assert (found.radius, found.lower) == (pytest.approx(best, abs=1e-9), pytest.approx(best, abs=1e-9))


@pytest.mark.parametrize("seed", range(60))
def test_disks_are_within_three_times_and_their_bound_holds(seed: int) -> None:
    points, labeled, n, outliers = instance(seed)
    picks, lower = greedy_disks(points, labeled, n, outliers)
    best = optimum(points, labeled, n, outliers)
    assert len(picks) <= n
    assert reach(points, np.concatenate([labeled, points[picks]]), outliers) <= 3 * best + 1e-6
    assert lower <= best + 1e-6


@pytest.mark.parametrize("seed", range(6))
def test_between_half_of_greedy_and_greedy(seed: int) -> None:
    """Without outliers the greedy radius is a 2-approximation of ours."""
    points = np.random.default_rng(seed).normal(size=(70, 3))
    labeled = points[:3] + 0.1
    found = centers(points, labeled, 6, 0)
    greedy = reach(points, np.concatenate([labeled, points[farthest_first(points, labeled, 6)[0]]]), 0)
    assert greedy / 2 - 1e-9 <= found.radius <= greedy + 1e-9


@pytest.mark.parametrize("exact", [1000, 0])
def test_radius_falls_with_outliers_and_picks(exact: int) -> None:
    """Never rises for the optimum; for the greedy form it holds on this pool."""
    points, none = np.random.default_rng(5).normal(size=(60, 3)), np.empty((0, 3))
    by_outliers = [centers(points, none, 4, k, exact=exact).radius for k in (0, 1, 3, 8, 20)]
    assert (np.diff(by_outliers) <= 1e-9).all()
    by_picks = [centers(points, none, n, 2, exact=exact).radius for n in (1, 2, 4, 8, 16)]
    assert (np.diff(by_picks) <= 1e-9).all()


@pytest.mark.parametrize("exact", [1000, 0])
def test_a_far_outlier_is_no_center(exact: int) -> None:
    """Two groups and a point far away: k-center takes it, the robust form with one outlier does not."""
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(20, 2)), rng.normal(size=(20, 2)) + 30, [[1000.0, 0.0]]])
    none = np.empty((0, 2))
    assert 40 in farthest_first(points, none, 2)[0]
    found = centers(points, none, 2, 1, exact=exact)
    assert 40 not in found.picks
    assert sorted(found.picks // 20) == [0, 1]
    assert 40 in centers(points, none, 2, 0).picks


def test_an_outlier_may_be_a_center_where_that_costs_nothing() -> None:
    """{0, 1, 2, 100}, two centers, one outlier: 1 and 100 reach radius 1, so no rule forbids 100."""
    points = np.array([[0.0], [1.0], [2.0], [100.0]])
    assert centers(points, points[:0], 2, 1).radius == 1.0 == reach(points, points[[1, 3]], 1)


def test_labelled_are_centers_already() -> None:
    """A group that a label covers gets no pick."""
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(size=(15, 2)), rng.normal(size=(15, 2)) + 50])
    assert centers(points, points[:1] + 0.01, 1, 0).picks[0] >= 15


@pytest.mark.parametrize("nodes", [1, 1000])
def test_bounds_hold_when_nodes_run_out(nodes: int) -> None:
    """Whatever was decided, the best radius lies between the two."""
    points = np.random.default_rng(3).normal(size=(60, 4))
    truth = centers(points, points[:0], 5, 2, nodes=100_000)
    assert truth.radius == pytest.approx(truth.lower)
    found = centers(points, points[:0], 5, 2, nodes=nodes)
    assert found.lower - 1e-9 <= truth.radius <= found.radius + 1e-9
    assert found.radius == pytest.approx(reach(points, points[found.picks], 2))


def test_an_undecided_program_is_no_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is decided: the start is kept, and the bound stays where it was."""
    monkeypatch.setattr("al_plugin.math.center_program._decide", lambda *_: False)
    points = np.random.default_rng(2).normal(size=(30, 2))
    start = np.arange(4)
    picks, radius, lower = best_centers(program(points, points[:0]), 4, 0, start, lower=0.0, nodes=1)
    assert picks.tolist() == start.tolist()
    assert radius == pytest.approx(reach(points, points[start], 0) ** 2)
    assert lower == 0.0


def test_order_is_by_coverage() -> None:
    """Groups of 3, 9 and 6: the center of the largest comes first."""
    points = np.concatenate([np.linspace(0, 1, k)[:, None] + 100 * at for at, k in enumerate((3, 9, 6))])
    group = np.repeat([0, 1, 2], [3, 9, 6])
    assert group[centers(points, points[:0], 3, 0).picks].tolist() == [1, 2, 0]


def test_spare_picks_stay_away_from_outliers() -> None:
    """More picks than the radius needs: they come from within it while there is someone."""
    points = np.concatenate([np.zeros((3, 1)), np.ones((3, 1)), [[500.0]]])
    picks = centers(points, points[:0], 6, 1).picks.tolist()
    assert picks == [0, 3, 1, 2, 4, 5]
    assert centers(points, points[:0], 7, 1).picks.tolist() == [*picks, 6]


@pytest.mark.parametrize("size", [150, 600])
def test_same_bytes_again(size: int) -> None:
    points = np.random.default_rng(4).normal(size=(size, 5))
    first, second = (centers(points, points[:2] + 1, 7, 3, exact=200) for _ in range(2))
    assert first.picks.tobytes() == second.picks.tobytes()
    assert (first.radius, first.lower) == (second.radius, second.lower)


def test_large_pools_use_a_sample_and_claim_no_bound() -> None:
    """The radius is that of the whole pool and no worse than k-center's, which spends its picks on outliers."""
    rng = np.random.default_rng(6)
    points = np.concatenate([rng.normal(size=(3000, 4)), rng.normal(size=(30, 4)) * 100])
    rng.shuffle(points)
    found = robust_centers(points, points[:0], 8, outliers=60, exact_up_to=300, sample=500, nodes=10)
    traversal = points[farthest_first(points, points[:0], 8)[0]]
    assert np.count_nonzero(np.abs(traversal).max(axis=1) > 10) >= 6
    # One on an outlier is possible: it makes room for another point among those left out.
    assert np.count_nonzero(np.abs(points[found.picks]).max(axis=1) > 10) <= 1
    assert found.radius == pytest.approx(reach(points, points[found.picks], 60))
    assert found.radius < 0.9 * reach(points, traversal, 60)
    assert found.lower == 0.0


def test_strategy_notes_a_gap() -> None:
    """What is not shown to be the best is said; the optimum is not worth a note."""
    robust = registry.load("select", "robust_kcenter")
    points = np.random.default_rng(8).normal(size=(40, 3))
    signals = {"embeddings": points, "labeled_embeddings": points[:2] + 0.5}
    rng = np.random.default_rng(0)
    assert run_noted(robust, signals, 4, rng, {})[1] == ""
    note = run_noted(robust, signals, 4, rng, {"exact_up_to": 0})[1]
    assert "covering radius" in note
    assert "at least" in note


@given(st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_ball_counts_are_exact(seed: int) -> None:
    """Strictly nearer or a copy, also on a lattice, where most distances equal the radius of some ball."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 4, size=(40, 3)) * float(rng.choice([2.0**-10, 1.0, 2.0**10])) + float(
        rng.choice([0.0, 1.0])
    )
    squared = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    radius = float(np.sqrt(rng.choice(np.unique(squared))))
    near = (squared < radius**2) | (squared == 0)
    balls, targets = Balls(points, radius), rng.random(40) < 0.6
    np.testing.assert_array_equal(balls.within(slice(None), slice(None)), near)
    np.testing.assert_array_equal(balls.counts(targets), near[:, targets].sum(axis=1))
    np.testing.assert_array_equal(balls.counts_of(np.array([3, 7, 11])), near[:, [3, 7, 11]].sum(axis=1))


def test_ball_counts_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pool is a multiple of a block: the last one counts, whether pairs are kept or computed again."""
    points = np.random.default_rng(9).normal(size=(1100, 3))
    near = ((points[:, None] - points[None]) ** 2).sum(axis=2) < 0.25
    members, everyone = np.arange(1000, 1100), np.ones(1100, dtype=bool)
    for kept in (2**13, 0):
        monkeypatch.setattr("al_plugin.math.ball_counts._KEPT", kept)
        balls = Balls(points, 0.5)
        np.testing.assert_array_equal(balls.counts(everyone), near.sum(axis=1))
        np.testing.assert_array_equal(balls.counts_of(members), near[:, members].sum(axis=1))


def test_reached_radius_without_centers() -> None:
    points = np.zeros((3, 2))
    assert reached_radius(points, points[:0], 2) == np.inf
    assert reached_radius(points, points[:0], 3) == 0.0
