"""Distances and farthest-first traversal, against loops over all pairs and all subsets."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin.math import farthest, geometry
from al_plugin.math.geometry import farthest_first, nearest_bound, nearest_center, squared_distances, squared_norms
from al_plugin.strategies.select.coverage import kcenter_greedy

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


def plain(candidates, centers, n):
    """One pass of differences in double precision per center and pick."""
    wide, gaps = candidates.astype(np.float64), np.full(len(candidates), np.inf)
    free, picks, radii = np.ones(len(wide), dtype=bool), [], []
    known = list(centers.astype(np.float64))
    for step in range(n):
        for one in known:
            gap = wide - one
            np.minimum(gaps, np.einsum("nd,nd->n", gap, gap), out=gaps)
        if step == 0 and len(centers) == 0:
            gap = wide - candidates.mean(axis=0, dtype=np.float64)
            picks.append(int(np.einsum("nd,nd->n", gap, gap).argmin()))
            radii.append(np.inf)
        else:
            picks.append(int(np.where(free, gaps, -1.0).argmax()))
            radii.append(gaps[picks[-1]])
        free[picks[-1]] = False
        known = [wide[picks[-1]]]
    return picks, radii


def geometries():
    rng = np.random.default_rng(0)
    cloud, none = rng.normal(size=(3000, 16)), np.empty((0, 2))
    middles = rng.normal(size=(40, 16)) * 100
    clusters = middles[rng.integers(40, size=3000)] + rng.normal(size=(3000, 16)) * 1e-3
    grid = np.stack(np.meshgrid(np.arange(50.0), np.arange(60.0)), -1).reshape(-1, 2)
    return {
        "cloud": (cloud, cloud[:50] + 1),
        "copies": (np.repeat(cloud[:750], 4, axis=0), cloud[:50]),
        "copies of labelled": (np.full((3000, 5), 0.3), np.full((90, 5), 0.1)),
        "heavy tails": (rng.standard_t(1, size=(3000, 8)), cloud[:5, :8]),
        "tight clusters": (clusters, middles[:3]),
        "uniform square": (rng.random((3000, 2)), none),
        "grid": (grid, none),
        "far from the origin": (cloud + 1000, cloud[:50] + 1001),
        "huge": (cloud * 1e25, cloud[:9]),
        "minute": (cloud * 1e-30, cloud[:9] * 1e-30),
    }


@pytest.mark.parametrize("name", sorted(geometries()))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(256, 4096), (4, 40)])
def test_lazy_equals_plain(name, dtype, sizes, monkeypatch):
    """Picks and radii are those of one full pass per pick, bit for bit, also where small sets force many refills."""
    monkeypatch.setattr(farthest, "_HOT", sizes[0])
    monkeypatch.setattr(farthest, "_ACTIVE", sizes[1])
    monkeypatch.setattr(farthest, "_NUMBERS", 1 << 12 if sizes[0] == 4 else 1 << 22)
    candidates, centers = (x.astype(dtype) for x in geometries()[name])
    picks, radii = farthest_first(candidates, centers, 120)
    expected_picks, expected_radii = plain(candidates, centers, 120)
    assert picks.tolist() == expected_picks
    assert radii.tolist() == expected_radii


@pytest.mark.parametrize("name", sorted(geometries()))
def test_whole_pool_and_kept_bounds(name):
    """n = N is the plain order; bounds kept from another call, in two parts, change no pick."""
    candidates, centers = geometries()[name]
    pool = candidates[:500].astype(np.float32)
    labelled = centers.astype(np.float32)
    picks, _ = farthest_first(pool, labelled, 500)
    assert picks.tolist() == plain(pool, labelled, 500)[0]
    kept = nearest_bound(pool, labelled[2:], nearest_bound(pool, labelled[:2]))
    before = kept.copy()
    assert farthest_first(pool, labelled, 500, nearest=kept)[0].tolist() == picks.tolist()
    np.testing.assert_array_equal(kept, before)


@pytest.mark.parametrize("name", sorted(geometries()))
def test_bounds_are_never_below(name):
    """nearest_bound is no less than the true squared distance, for every point."""
    candidates, centers = (x.astype(np.float32) for x in geometries()[name])
    centers = centers if len(centers) else candidates[:7]
    wide = candidates.astype(np.float64)
    true = np.min([((wide - one) ** 2).sum(axis=1) for one in centers.astype(np.float64)], axis=0)
    assert (nearest_bound(candidates, centers) >= true).all()


def test_copies_are_at_distance_zero():
    """Copies whose coordinates are not representable: cancellation left about 1e-13."""
    points = np.repeat(np.random.default_rng(0).normal(size=(20, 33)) * 7 + 0.1, 3, axis=0)
    same = squared_distances(points, points)[np.arange(60)[:, None] // 3 == np.arange(60) // 3]
    assert (same == 0).all()


def test_cosine_ignores_lengths():
    """metric cosine: scaling single rows changes no pick; euclidean sees it."""
    rng = np.random.default_rng(1)
    rows, known, lengths = rng.normal(size=(50, 4)), rng.normal(size=(3, 4)), 2.0 ** rng.integers(-4, 5, size=(50, 1))
    picks = kcenter_greedy(rows, known, 9, metric="cosine").tolist()
    assert kcenter_greedy(rows * lengths, known * 8, 9, metric="cosine").tolist() == picks
    units, others = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rows, known))
    assert picks == plain(units, others, 9)[0]
    assert kcenter_greedy(rows * lengths, known, 9).tolist() != picks


@pytest.mark.parametrize("size", [0, 3])
def test_more_picks_than_points(size):
    """An error, not a search without end."""
    with pytest.raises(ValueError, match=f"asked for 4 picks of {size}"):
        farthest_first(np.ones((size, 2)), np.ones((1, 2)), 4)


def test_nearest_pair_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies aside, and whatever the block."""
    points = np.random.default_rng(0).normal(size=(40, 3))
    points = np.concatenate([points, points[:5]])
    expected = min(np.linalg.norm(a - b) for a, b in combinations(points[:40], 2))
    assert geometry.nearest_pair(points) == pytest.approx(expected)
    monkeypatch.setattr(geometry, "_PAIRS", 100)
    assert geometry.nearest_pair(points) == pytest.approx(expected)
    assert geometry.nearest_pair(points[:1]) == 0.0
