"""Explanations against brute force: ranks, neighbours, copies, coverage, the plane; outcomes with intervals."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin.data.pool import Pool
from al_plugin.data.queries import QueryRow
from al_plugin.data.sets import Labeled, Model, Scoreboard
from al_plugin.math import explain as measure
from al_plugin.math import outcomes
from al_plugin.rounds import explain as explaining
from al_plugin.rounds.explain import explain
from al_plugin.rounds.explained import Stored


def points(n: int, width: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def gap(x: np.ndarray, y: np.ndarray) -> float:
    return math.sqrt(math.fsum((float(a) - float(b)) ** 2 for a, b in zip(x, y, strict=True)))


@given(st.lists(st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=12))
def test_ranks_count_what_is_larger(values: list[float]) -> None:
    array = np.array(values)
    assert measure.ranks(array, array).tolist() == [1 + sum(other > value for other in values) for value in values]


@pytest.mark.parametrize("k", [1, 3, 20])
def test_nearest_of(k: int) -> None:
    mine, others = points(7, seed=1), points(9, seed=2)
    found = measure.nearest_of(mine, others, k)
    assert found.index.shape == (7, min(k, 9))
    for i, x in enumerate(mine):
        by_distance = sorted(range(9), key=lambda j, x=x: (gap(x, others[j]), j))[:k]
        assert found.index[i].tolist() == by_distance
        assert found.distance[i] == pytest.approx([gap(x, others[j]) for j in by_distance], rel=1e-6)


def test_nearest_of_nothing() -> None:
    assert measure.nearest_of(points(4), points(0), 3).index.shape == (4, 0)
    assert measure.nearest_of(points(0), points(4), 3).distance.shape == (0, 0)


def test_copies_of_every_sample_are_found_and_nothing_else() -> None:
    """Three noisy copies of each of 60 points: the radius tells them apart, whatever the scale."""
    rng = np.random.default_rng(3)
    base = points(60, 8, seed=3)
    noisy = np.concatenate([base + 1e-3 * rng.normal(size=base.shape).astype(np.float32) for _ in range(3)])
    for scale in (1e-3, 1.0, 1e3):
        pool = (noisy * scale).astype(np.float32)
        radius = measure.near_copy_radius(pool, pool)
        found = measure.within(pool, pool, radius, np.arange(len(pool)))
        for i, near in enumerate(found):
            assert set(near.tolist()) == {j for j in range(180) if j % 60 == i % 60 and j != i}


def test_no_copies_without_copies() -> None:
    pool = points(400, 8, seed=4)
    radius = measure.near_copy_radius(pool, pool)
    assert sum(len(near) for near in measure.within(pool, pool, radius, np.arange(400))) == 0


def test_the_radius_is_a_quarter_of_the_median_tenth_neighbour() -> None:
    pool = points(40, 2, seed=5)
    tenth = [sorted(gap(x, y) for y in pool)[10] for x in pool]
    assert measure.near_copy_radius(pool, pool) == pytest.approx(0.25 * np.median(tenth), rel=1e-6)
    assert measure.near_copy_radius(pool[:1], pool[:1]) == 0.0


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 3))
@settings(max_examples=30, deadline=None)
def test_within_by_brute_force(seed: int, radius: float) -> None:
    mine, others = points(4, 2, seed), points(15, 2, seed + 1)
    own = np.array([0, 14, 3, 3])
    for i, near in enumerate(measure.within(mine, others, radius, own)):
        distances = [gap(mine[i], other) for other in others]
        if any(abs(d - radius) < 1e-6 for d in distances):
            continue
        expected = [j for j in sorted(range(15), key=distances.__getitem__) if distances[j] <= radius and j != own[i]]
        assert near.tolist() == expected


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 1e6), (1e-25, 0.0), (1e25, 0.0), (1e-3, 1e3)])
def test_within_where_single_precision_decides_nothing(scale: float, offset: float) -> None:
    """Far from the origin, and where squares leave float32: the same as by differences in float64."""
    mine, others = (scale * points(size, 3, size).astype(np.float64) + offset for size in (6, 40))
    squared = ((mine[:, None] - others[None]) ** 2).sum(axis=2)
    radius = float(np.sqrt(np.median(squared)))
    found = measure.within(mine, others, radius, np.full(6, -1))
    assert [near.tolist() for near in found] == [
        [j for j in np.argsort(row, kind="stable").tolist() if row[j] <= radius**2] for row in squared
    ]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, others = points(5, seed=6), points(50, seed=7)
    whole = measure.within(mine, others, 1.5, np.arange(5))
    monkeypatch.setattr("al_plugin.math.neighbours._PAIRS", 16)
    for a, b in zip(whole, measure.within(mine, others, 1.5, np.arange(5)), strict=True):
        assert a.tolist() == b.tolist()


def test_coverage_by_brute_force() -> None:
    pool, known = points(30, seed=8), points(4, seed=9)
    distance = measure.to_nearest(pool, known)
    brute = [min(gap(x, c) for c in known) for x in pool]
    assert distance == pytest.approx(brute, rel=1e-6)
    found = measure.coverage(distance, 1.0)
    assert found.mean == pytest.approx(sum(brute) / 30)
    assert found.largest == pytest.approx(max(brute))
    assert found.covered == sum(d <= 1.0 for d in brute) / 30
    assert found.error == pytest.approx(np.std(brute, ddof=1) / math.sqrt(30))


def test_coverage_of_nothing() -> None:
    distance = measure.to_nearest(points(5), points(0))
    assert np.isinf(distance).all()
    assert measure.coverage(distance, 1.0) == measure.Coverage(None, None, None, 0.0)
    assert measure.coverage(np.empty(0), 1.0).covered == 0.0


def test_more_labels_never_cover_less() -> None:
    pool, known = points(40, seed=10), points(12, seed=11)
    means = [measure.coverage(measure.to_nearest(pool, known[:k]), 1.0).mean for k in range(1, 13)]
    assert all(a >= b for a, b in itertools.pairwise(means))


def test_cells_and_overlap() -> None:
    pool, known, batch = points(60, seed=12), points(3, seed=13), points(5, seed=14)
    before = measure.to_nearest(pool, known)
    shares = np.zeros(5)
    for x in pool:
        distances = [gap(x, b) for b in batch]
        if min(distances) < min(gap(x, c) for c in known):
            shares[int(np.argmin(distances))] += 1 / 60
    assert measure.cells(pool, before, batch) == pytest.approx(shares)
    mine = measure.newly_covered(np.array([2.0, 2.0, 0.5, np.inf]), np.array([0.1, 3.0, 0.1, 1.0]), 1.0)
    assert mine.tolist() == [True, False, False, True]
    assert measure.overlap(mine, np.array([True, True, False, False])) == 0.5
    assert measure.overlap(mine, np.zeros(4, dtype=bool)) is None


def test_apart() -> None:
    batch = points(6, seed=15)
    brute = [min(gap(x, y) for j, y in enumerate(batch) if j != i) for i, x in enumerate(batch)]
    assert measure.apart(batch) == pytest.approx(brute, rel=1e-6)
    assert np.isinf(measure.apart(batch[:1])).all()


@pytest.mark.parametrize(("n", "width"), [(50, 4), (30, 600), (3, 40)])
def test_the_plane_is_that_of_the_singular_vectors(n: int, width: int) -> None:
    rng = np.random.default_rng(16)
    pool = (rng.normal(size=(n, width)) * np.linspace(5, 0.1, width)).astype(np.float32)
    plane = measure.principal_plane(pool)
    centred = pool.astype(np.float64) - pool.mean(axis=0, dtype=np.float64)
    _, values, rows = np.linalg.svd(centred, full_matrices=False)
    for column in range(2):
        axis = rows[column] * np.sign(rows[column][np.abs(rows[column]).argmax()])
        assert plane.axes[:, column] == pytest.approx(axis, abs=1e-6)
        assert plane.explained[column] == pytest.approx(values[column] ** 2 / (values**2).sum())
    assert plane.project(pool) == pytest.approx(centred @ plane.axes, abs=1e-5)


def test_a_plane_through_points_on_a_line_or_one_point() -> None:
    line = np.outer(np.arange(5), [3.0, 4.0]).astype(np.float32)
    plane = measure.principal_plane(line)
    assert plane.axes[:, 0] == pytest.approx([0.6, 0.8])
    assert plane.axes[:, 1].tolist() == [0.0, 0.0]
    assert measure.principal_plane(line[:1]).project(line[:1]).tolist() == [[0.0, 0.0]]
    assert measure.principal_plane(line[:0]).project(line).shape == (5, 2)


@given(st.integers(1, 40), st.data())
def test_wilson_solves_its_equation(total: int, data: st.DataObject) -> None:
    """The bounds p of the interval satisfy (x - p)² = z² p (1 - p) / n."""
    hits = data.draw(st.integers(0, total))
    found = outcomes.share(hits, total)
    assert 0 <= found.low <= found.value <= found.high <= 1
    for bound in (found.low, found.high):
        if 0 < bound < 1:
            assert (hits / total - bound) ** 2 == pytest.approx(
                outcomes.Z95**2 * bound * (1 - bound) / total, abs=1e-12
            )


def test_wilson_covers_as_often_as_it_says() -> None:
    """Exactly, over the binomial law: near 95 % on average over shares from .05 to .95."""
    n = 40
    levels = []
    for p in np.linspace(0.05, 0.95, 37):
        inside = [k for k in range(n + 1) if (s := outcomes.share(k, n)).low <= p <= s.high]
        levels.append(sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in inside))
    assert 0.94 < np.mean(levels) < 0.97


def test_share_of_nothing() -> None:
    assert outcomes.share(0, 0) == outcomes.Share(None, 0.0, 1.0, 0, 0)


def test_confusion_recall_precision() -> None:
    actual, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 2])
    counts = outcomes.confusion(actual, predicted, 4)
    brute = [
        [sum((a, p) == (r, c) for a, p in zip(actual, predicted, strict=True)) for c in range(4)] for r in range(4)
    ]
    assert counts.tolist() == brute
    assert [s.value for s in outcomes.recalls(counts)] == [2 / 3, 0.5, 1.0, None]
    assert [s.value for s in outcomes.precisions(counts)] == [1.0, 0.5, 0.5, None]


def test_reliability_and_calibration_error_agree() -> None:
    from al_plugin.rounds.evaluate import calibration_error

    rng = np.random.default_rng(17)
    confidence = np.append(rng.random(200), [0.0, 1.0])
    correct = (rng.random(202) < confidence).astype(np.int64)
    bins = outcomes.reliability(confidence, correct, 15)
    total = sum(one.correct.total * abs(one.correct.value - one.confidence) for one in bins) / 202
    assert total == pytest.approx(calibration_error(confidence, correct == 1))
    assert sum(one.correct.total for one in bins) == 202


def test_change_is_signed_and_symmetric() -> None:
    before, after = np.array([1, 1, 0, 0, 0, 1] * 20), np.array([1, 0, 1, 1, 0, 1] * 20)
    there, back = outcomes.change(before, after), outcomes.change(after, before)
    assert there.difference == float(Fraction(after.sum() - before.sum(), 120))
    assert (there.gained, there.lost) == (40, 20)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert there.low < there.difference < there.high
    same = outcomes.change(before, before)
    assert same.low < 0 < same.high


def test_change_covers_as_often_as_it_says() -> None:
    """Law of 1,500 draws of 100 paired samples with a true difference of .08."""
    rng = np.random.default_rng(18)
    inside = 0
    for _ in range(1500):
        which = rng.choice(4, size=100, p=[0.7, 0.12, 0.04, 0.14])  # both right, gained, lost, both wrong
        found = outcomes.change(np.isin(which, (0, 2)).astype(int), np.isin(which, (0, 1)).astype(int))
        inside += found.low <= 0.08 <= found.high
    assert 0.93 < inside / 1500 < 0.985


def row(sample_id: str, rank: int, kind: str = "query", score: float | None = 0.0) -> QueryRow:
    chance = 0.1 if kind == "random" else None
    return QueryRow(
        f"r0001-{rank}", sample_id, rank, score, kind, 1, chance, f"predicted a (0.50); top of 9 candidates; {kind}"
    )


@pytest.fixture
def unfitted() -> tuple:
    """Twelve samples on a line at 0, 1, 2, ...; 0 and 11 are labelled, 5, 6 and 9 are queried."""
    features = np.arange(12, dtype=np.float32)[:, None]
    ids = np.array([f"s{i}" for i in range(12)], dtype=object)
    pool = Pool(ids, features, {"part-00000": 12})
    labeled = Labeled(["s0", "s11"], np.array([0, 1]))
    board = Scoreboard(ids, np.arange(12.0), [None] * 12, [None] * 12)
    return pool, labeled, Model({"fitted": False}, {}), board


def test_a_query_is_explained(unfitted: tuple) -> None:
    pool, labeled, model, board = unfitted
    rows = [row("s5", 1, score=5.0), row("s6", 2, score=6.0), row("s9", 3, "random", 9.0)]
    found = explain(pool, labeled, model, board, Stored(), rows, {"s0", "s11"}, 0, ("a", "b"))
    unit = 1 / np.arange(12).std()
    assert found.space == "features"
    assert found.candidates == 10
    first, _, third = found.samples
    assert [(n.sample_id, n.label) for n in first.neighbours] == [("s0", "a"), ("s11", "b")]
    assert first.distance == pytest.approx(5 * unit, rel=1e-6)
    assert first.farther == 0.8  # 1 to 4 and 7 to 10 lie nearer to a label, 6 as near
    assert first.gap == pytest.approx(unit, rel=1e-6)
    # Candidates with a higher score than 5: 6 to 10.
    assert [(s.name, s.rank, s.of, s.sampled) for s in first.standings] == [("score", 6, 10, False)]
    assert third.standings[0].rank == 2
    # 3, 4 and 5 come to s5; 6 and 7 to s6; 8 and 9 to s9, while 10 is as near to the label at 11.
    assert [s.cell for s in found.samples] == pytest.approx([0.3, 0.2, 0.2])
    assert "drawn at random" in third.why[0]
    assert first.why[0] == "top of 9 candidates; query"
    before = [min(i, 11 - i) * unit for i in range(1, 11)]
    after = [min(*(abs(i - c) for c in (0, 5, 6, 9, 11))) * unit for i in range(1, 11)]
    assert found.batch.before.mean == pytest.approx(np.mean(before), rel=1e-6)
    assert found.batch.after.mean == pytest.approx(np.mean(after), rel=1e-6)
    assert found.batch.after.largest == pytest.approx(2 * unit, rel=1e-6)
    assert found.batch.mix == ()
    assert found.batch.mean.low <= found.batch.mean.random <= found.batch.mean.high


def test_explaining_twice_is_the_same_and_changes_nothing(unfitted: tuple) -> None:
    pool, labeled, model, board = unfitted
    rows = [row("s5", 1), row("s6", 2)]
    for array in (pool.features, board.scores, labeled.labels):
        array.flags.writeable = False
    one, two = (explain(pool, labeled, model, board, Stored(), rows, {"s0"}, 7, ("a", "b")) for _ in range(2))
    assert one.samples == two.samples
    assert one.batch == two.batch


def test_a_relabelled_sample_is_not_its_own_neighbour(unfitted: tuple) -> None:
    pool, labeled, model, board = unfitted
    found = explain(pool, labeled, model, board, Stored(), [row("s0", 1)], set(), 0, ("a", "b"))
    assert [n.sample_id for n in found.samples[0].neighbours] == ["s11"]


def test_an_empty_query(unfitted: tuple) -> None:
    pool, labeled, model, board = unfitted
    found = explain(pool, labeled, model, board, Stored(), [], {"s0", "s11"}, 0, ("a", "b"))
    assert found.samples == ()
    assert found.batch.covered is None


def test_everything_is_labelled() -> None:
    pool = Pool(np.array(["x", "y"], dtype=object), points(2), {"p": 2})
    labeled = Labeled(["x", "y"], np.array([0, 1]))
    board = Scoreboard(pool.ids, None, [None, None], [None, None])
    found = explain(pool, labeled, Model({"fitted": False}, {}), board, Stored(), [], {"x", "y"}, 0, ("a", "b"))
    assert found.batch.unlabelled == 0
    assert found.candidates == 0


def test_stored_signals_are_taken_and_doubts_ranked(unfitted: tuple) -> None:
    pool, labeled, _, board = unfitted
    p = np.linspace(0.5, 0.99, 12)
    stored = Stored(np.log(np.stack([p, 1 - p], axis=1)).astype(np.float32), pool.features)
    model = Model({"fitted": True, "network": {"body": "mlp"}}, {})
    board = Scoreboard(board.ids, board.scores, ["a"] * 6 + ["b"] * 6, [0.5] * 12)
    found = explain(pool, labeled, model, board, stored, [row("s5", 1), row("s1", 2)], {"s0", "s11"}, 0, ("a", "b"))
    assert found.space == "embeddings"
    by_name = {s.name: s for s in found.samples[0].standings}
    for name in ("least confidence", "entropy", "margin"):
        assert (by_name[name].rank, by_name[name].of) == (5, 10)  # s1 to s4 are less certain
    assert by_name["least confidence"].value == pytest.approx(1 - p[5], rel=1e-5)
    assert by_name["margin"].value == pytest.approx(-(2 * p[5] - 1), rel=1e-5)
    assert found.samples[0].probabilities[0] == ("a", pytest.approx(p[5], rel=1e-6))
    assert [(m.name, m.batch.hits, m.pool.hits) for m in found.batch.mix] == [("a", 2, 5), ("b", 0, 5)]


def test_a_large_pool_is_sampled_and_says_so(monkeypatch: pytest.MonkeyPatch, unfitted: tuple) -> None:
    pool, labeled, _, board = unfitted
    monkeypatch.setattr(explaining, "_CHEAP", 4)
    monkeypatch.setattr(explaining, "SAMPLE", 5)
    found = explain(
        pool, labeled, Model({"fitted": False}, {}), board, Stored(), [row("s5", 1)], {"s0", "s11"}, 0, ("a", "b")
    )
    assert (found.batch.measured, found.batch.unlabelled) == (5, 10)
    assert found.samples[0].distance == pytest.approx(
        5 / np.arange(12).std(), rel=1e-6
    )  # of the whole pool's deviation
