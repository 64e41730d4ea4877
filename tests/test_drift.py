"""Drift of the pool: the energy test against brute force, its false alarms, and through the stages."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from conftest import al, turn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance

from al_plugin import layout, report, store
from al_plugin.data.pool import Pool, sample_table
from al_plugin.math.drift import shift
from al_plugin.rounds.drift import differs, drift


def brute(first: np.ndarray, second: np.ndarray) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|."""
    return 2 * cdist(first, second).mean() - cdist(first, first).mean() - cdist(second, second).mean()


@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(2, 30), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_the_coefficient_is_the_energy_distance(seed, n, m, width):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(n, width)), rng.normal(size=(m, width)) * 2 + 0.5
    found = shift(first, second, rng, 9)
    assert found.coefficient == pytest.approx(brute(first, second) / (2 * cdist(first, second).mean()), abs=1e-6)
    assert 0 <= found.coefficient <= 1
    assert 0.1 <= found.p <= 1


def test_in_one_dimension_it_is_scipy_s():
    """SciPy gives the root of half of the energy: sqrt(2) times the Cramér distance."""
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=80), rng.normal(size=50) + 1
    found = shift(first[:, None], second[:, None], rng, 1)
    expected = energy_distance(first, second) ** 2
    assert found.coefficient * 2 * np.abs(first[:, None] - second).mean() == pytest.approx(expected)


def test_p_is_that_of_all_relabellings():
    """With as many random ones as it takes, the share of all 70 splits of 4 and 4 is approached."""
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(4, 2)), rng.normal(size=(4, 2)) + 1.2
    rows = np.r_[first, second]
    own, reached = brute(first, second), 0
    splits = list(itertools.combinations(range(8), 4))
    for chosen in splits:
        rest = [i for i in range(8) if i not in chosen]
        reached += brute(rows[list(chosen)], rows[rest]) >= own - 1e-9
    assert shift(first, second, rng, 20_000).p == pytest.approx(reached / len(splits), abs=0.012)


def test_equal_samples_never_differ():
    rows = np.ones((30, 3))
    assert shift(rows, rows, np.random.default_rng(0), 99).p == 1.0
    assert shift(rows, rows, np.random.default_rng(0), 99).coefficient == 0.0


def pool_of(*parts: np.ndarray) -> Pool:
    rows = np.concatenate(parts).astype(np.float32)
    ids = np.array([f"s-{i}" for i in range(len(rows))], dtype=object)
    return Pool(ids, rows, {f"part-{i:05d}": len(part) for i, part in enumerate(parts)})


def test_false_alarms_are_as_rare_as_it_says():
    """300 pools of three parts without drift: at most .01 expected; 8 or more has a chance below 2 in 100."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(300):
        rows = rng.normal(size=(150, 3)) ** 3
        alarms += differs(drift(pool_of(rows[:70], rows[70:110], rows[110:]), 1)["drift"])
    assert alarms < 8


@pytest.mark.parametrize("place", [1, 2])
def test_the_part_that_moved_is_named(place):
    rng = np.random.default_rng(2)
    parts = [rng.normal(size=(200, 5)) for _ in range(4)]
    parts[place][:, 2] += 1.0
    found = drift(pool_of(*parts), 0)["drift"]
    assert found["part"] == f"part-{place:05d}"
    assert found["compared"] == 3
    assert differs(found)


def test_a_change_of_spread_alone_is_seen():
    rng = np.random.default_rng(2)
    assert differs(drift(pool_of(rng.normal(size=(400, 4)), 2 * rng.normal(size=(400, 4))), 0)["drift"])


def test_one_part_or_a_handful_of_samples_says_nothing():
    rows = np.random.default_rng(0).normal(size=(60, 2))
    assert drift(pool_of(rows), 0) == {}
    assert drift(pool_of(rows, rows[:19]), 0) == {}


def test_through_the_stages(campaign: Path, capsys: pytest.CaptureFixture) -> None:
    for later in sorted(Path(layout.POOL).glob("*.parquet"))[1:]:
        later.unlink()
    turn()
    assert "drift" not in store.read_json(layout.SCORE_METRICS, "")
    rng = np.random.default_rng(0)
    old = np.array(store.read_table(layout.POOL + "/part-00000.parquet", "").column("features").to_pylist())
    for shifted, expected in ((0.0, False), (3.0, True)):
        fresh = old[rng.permutation(len(old))[:40]] + shifted
        store.write_table(
            layout.POOL + "/part-00007.parquet", sample_table([f"n-{i}" for i in range(len(fresh))], fresh + 1e-3)
        )
        turn()
        found = store.read_json(layout.SCORE_METRICS, "")["drift"]
        assert found["part"] == "part-00007"
        assert differs(found) == expected
        capsys.readouterr()
        assert al("status") == 0
        assert ("drift     part-00007 differs from the pool before it" in capsys.readouterr().out) == expected
        page = report.make(None).page.decode()
        assert ("part-00007 differs from the pool before it" in page) == expected
        assert "Drift of the pool" in page
        again = Path(layout.SCORE_METRICS).read_bytes()
        turn()
        assert Path(layout.SCORE_METRICS).read_bytes() == again
