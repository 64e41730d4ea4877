"""Distances and farthest-first traversal, against loops over all pairs and all subsets."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin.math import geometry
from al_plugin.math.geometry import farthest_first, nearest_center, squared_distances, squared_norms

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=100)


def points(rows, width=2, low=-9, high=9):
    """Points of whole coordinates: their distances are exact, so ties are ties."""
    return st.lists(
        st.lists(st.integers(low, high), min_size=width, max_size=width),
        min_size=rows[0],
        max_size=rows[1],
    ).map(lambda rows: np.array(rows, dtype=np.float64).reshape(-1, width))


def pairwise(left, right):
    return np.array([[sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for y in right] for x in left])


def traversal(candidates, centers, n):
    """Farthest first by comparing with every known point at every step."""
    picks, radii = [], []
    for _ in range(n):
        known = [*centers, *candidates[picks]]
        free = [i for i in range(len(candidates)) if i not in picks]
        if known:
            gaps = [min(((candidates[i] - one) ** 2).sum() for one in known) for i in free]
            radii.append(max(gaps))
        else:
            gaps = [-((candidates[i] - candidates.mean(axis=0)) ** 2).sum() for i in free]
            radii.append(np.inf)
        picks.append(free[int(np.argmax(gaps))])
    return picks, radii


def radius(candidates, known):
    return pairwise(candidates, known).min(axis=1).max()


@REPEATABLE
@given(points((1, 8), 3), points((1, 8), 3))
def test_distances_are_the_sums(left, right):
    """d² by the identity of norms and products equals the sum of squared differences."""
    np.testing.assert_array_equal(squared_distances(left, right), pairwise(left, right))
    np.testing.assert_array_equal(squared_norms(left), (left**2).sum(axis=1))


def test_deepal_root_of_negative_distance():
    """Peer bug: ‖a‖² + ‖b‖² - 2ab cancels to below zero, and its root is NaN."""
    rng = np.random.default_rng(0)
    far = rng.normal(size=(200, 50)) + 1000.0
    norms = (far**2).sum(axis=1)
    assert (norms[:, None] + norms[None, :] - 2 * far @ far.T).min() < 0
    assert squared_distances(far, far).min() >= 0
    picks, radii = farthest_first(far, far[:5], 100)
    assert len(set(picks.tolist())) == 100
    assert np.isfinite(radii).all()


def test_half_precision_does_not_overflow():
    """Peer bug (deepALplus): float16 distances overflow at norms of about 450; here they are widened first."""
    rows = np.full((3, 100), 60.0, dtype=np.float16)
    rows[1] = -60.0
    assert squared_distances(rows, rows)[0, 1] == 100 * 120.0**2
    assert farthest_first(rows, rows[:1], 1)[0].tolist() == [1]


def test_blocked_equals_whole(monkeypatch):
    """The nearest center does not depend on the size of the blocks."""
    rng = np.random.default_rng(1)
    candidates = rng.integers(-50, 50, size=(1000, 4)).astype(np.float32)
    centers = rng.integers(-50, 50, size=(37, 4)).astype(np.float32)
    whole = squared_distances(candidates, centers).min(axis=1)
    np.testing.assert_array_equal(nearest_center(candidates, centers), whole)
    for block in (1, 7, 999, 1000):
        monkeypatch.setattr(geometry, "_BLOCK", block)
        np.testing.assert_array_equal(nearest_center(candidates, centers), whole)


def test_no_center_is_infinitely_far():
    """Without centers every distance is +inf."""
    assert np.isposinf(nearest_center(np.zeros((3, 2)), np.empty((0, 2)))).all()


@REPEATABLE
@given(points((1, 10)), points((0, 4)), st.data())
def test_traversal_equals_naive(candidates, centers, data):
    """Picks, their order and the radii are those of the loop over all pairs, ties to the first."""
    n = data.draw(st.integers(1, len(candidates)))
    if len(centers) == 0:
        # The mean is not exact, so which of two equally near points comes first is left open.
        gaps = ((candidates - candidates.mean(axis=0)) ** 2).sum(axis=1)
        gaps.sort()
        if len(gaps) > 1 and gaps[1] - gaps[0] < 1e-9:
            return
    picks, radii = farthest_first(candidates, centers, n)
    expected_picks, expected_radii = traversal(candidates, centers, n)
    assert picks.tolist() == expected_picks
    assert radii.tolist() == expected_radii


@REPEATABLE
@given(points((2, 9)), points((0, 2)), st.integers(1, 3))
def test_traversal_is_a_two_approximation(candidates, centers, n):
    """The radius is at most twice the best that any n candidates reach (all subsets tried)."""
    n = min(n, len(candidates))
    picks, _ = farthest_first(candidates, centers, n)
    reached = radius(candidates, np.concatenate([centers, candidates[picks]]))
    best = min(
        radius(candidates, np.concatenate([centers, candidates[list(chosen)]]))
        for chosen in combinations(range(len(candidates)), n)
    )
    assert reached <= 4 * best + 1e-9  # squared


@REPEATABLE
@given(points((1, 12)), points((0, 4)))
def test_radii_never_increase(candidates, centers):
    """The radius before each pick falls or stays, and the picks are a permutation."""
    picks, radii = farthest_first(candidates, centers, len(candidates))
    assert sorted(picks.tolist()) == list(range(len(candidates)))
    assert (np.diff(radii[np.isfinite(radii)]) <= 0).all()


@REPEATABLE
@given(points((3, 12)), points((0, 3)), st.integers(1, 11))
def test_prefix(candidates, centers, n):
    """The first picks of a longer traversal are the shorter one."""
    n = min(n, len(candidates))
    longest, _ = farthest_first(candidates, centers, len(candidates))
    assert farthest_first(candidates, centers, n)[0].tolist() == longest[:n].tolist()


@REPEATABLE
@given(points((2, 10)), points((1, 4)))
def test_copies_of_labelled_points_come_last(candidates, centers):
    """While some candidate lies away from all centers, a copy of a center is not taken."""
    pool = np.concatenate([centers, candidates])
    picks, radii = farthest_first(pool, centers, len(pool))
    for pick, reached in zip(picks, radii, strict=True):
        assert pick >= len(centers) or reached == 0


@REPEATABLE
@given(points((2, 10)), points((1, 4)), st.integers(-40, 40), st.sampled_from(["swap", "mirror"]))
def test_isometries_change_nothing(candidates, centers, shift, kind):
    """Moving, mirroring and turning all points leaves the picks as they are."""
    turn = (lambda x: x[:, ::-1]) if kind == "swap" else (lambda x: -x)
    there = farthest_first(turn(candidates) + shift, turn(centers) + shift, len(candidates))[0]
    assert there.tolist() == farthest_first(candidates, centers, len(candidates))[0].tolist()


def test_epig_first_pick_is_a_candidate():
    """Peer bug (epig): the first pick came back as a position among the non-labelled, not mapped back.

    Twenty labelled, forty candidates: every pick counts candidates, the first too.
    """
    for seed in range(50):
        rng = np.random.default_rng(seed)
        labelled, candidates = rng.normal(size=(20, 5)), rng.normal(size=(40, 5))
        picks, _ = farthest_first(candidates, labelled, 10)
        assert picks[0] == pairwise(candidates, labelled).min(axis=1).argmax()
        assert picks.max() < 40


def test_copies_only():
    """A pool of nothing but copies: every candidate once, in order."""
    picks, radii = farthest_first(np.ones((6, 3)), np.ones((2, 3)), 6)
    assert picks.tolist() == [0, 1, 2, 3, 4, 5]
    assert radii.tolist() == [0.0] * 6


def test_small_distances_and_copies_of_picks():
    """Distances far below 1 count in full, and a copy of a pick is at distance 0."""
    candidates = np.array([[0.0], [0.0], [3.0], [1.0], [3.0]]) / 64
    picks, radii = farthest_first(candidates, np.array([[2.0]]), 5)
    expected_picks, expected_radii = traversal(candidates, np.array([[2.0]]), 5)
    assert picks.tolist() == expected_picks == [0, 2, 3, 1, 4]
    assert radii.tolist() == expected_radii
    assert radii[-1] == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_input_is_not_written(dtype):
    """Read-only input of any precision is enough."""
    candidates = np.arange(12, dtype=dtype).reshape(6, 2)
    candidates.flags.writeable = False
    assert farthest_first(candidates, candidates[:1], 2)[0].tolist() == [5, 2]
