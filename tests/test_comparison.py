"""Comparisons over seeds, against scipy, brute force and closed forms."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from al_plugin.math.comparison import (
    deviation_interval,
    equivalent,
    holm,
    noninferior_p,
    paired,
    power_of,
    seeds_needed,
    signed_rank_p,
)
from al_plugin.math.learning_curve import area_under, censored_median, labels_to_target, mean_band

RNG = np.random.default_rng(0)
DIFFERENCES = st.lists(st.integers(-9, 9), min_size=1, max_size=9).map(lambda v: np.array(v, dtype=float))


@pytest.mark.parametrize("k", [2, 3, 5, 12, 40])
def test_the_paired_t_test_is_scipys(k: int) -> None:
    d = RNG.normal(0.4, 1, k)
    found, asked = paired(d), stats.ttest_1samp(d, 0)
    interval = asked.confidence_interval(0.95)
    assert found.p_t == pytest.approx(asked.pvalue, rel=1e-12)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-12)
    assert (found.mean, found.deviation) == pytest.approx((d.mean(), d.std(ddof=1)))


@pytest.mark.parametrize("k", [1, 2, 5, 6, 12, 25])
def test_the_signed_rank_test_is_scipys_without_ties(k: int) -> None:
    d = RNG.normal(0.3, 1, k)
    assert signed_rank_p(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, rel=1e-12)


@given(DIFFERENCES)
def test_the_signed_rank_test_counts_all_signs(d: np.ndarray) -> None:
    """Brute force over 2^K signs, with ties and zeros."""
    kept = d[d != 0]
    if len(kept) == 0:
        assert signed_rank_p(d) == 1
        return
    ranks = stats.rankdata(np.abs(kept))
    w = ranks[kept > 0].sum()
    sums = np.array([ranks[np.array(signs)].sum() for signs in product([False, True], repeat=len(kept))])
    expected = min(1.0, 2 * min((sums <= w).mean(), (sums >= w).mean()))
    assert signed_rank_p(d) == pytest.approx(expected, abs=1e-12)
    assert signed_rank_p(-d) == signed_rank_p(d)


@pytest.mark.parametrize(("k", "least"), [(1, 1.0), (5, 0.0625), (6, 0.03125)])
def test_the_least_p_of_the_signed_rank_test(k: int, least: float) -> None:
    """With 5 seeds it cannot fall below .05, with 6 only where all signs agree."""
    assert signed_rank_p(np.arange(1.0, k + 1)) == least


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_is_closed_testing_with_bonferroni(values: list[float]) -> None:
    """p_i adjusted = the largest Bonferroni p of any set of hypotheses that holds i (Marcus et al. 1976)."""
    p = np.array(values)
    sets = [s for size in range(1, len(p) + 1) for s in combinations(range(len(p)), size)]
    expected = [max(min(1.0, len(s) * min(p[list(s)])) for s in sets if i in s) for i in range(len(p))]
    assert holm(p) == pytest.approx(expected, abs=1e-12)


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    assert len(holm(np.array([]))) == 0


@pytest.mark.parametrize(
    ("deviation", "difference", "seeds"),
    [(0.2, 0.25, 8), (0.2, 0.5, 4), (0.5, 0.5, 10), (0.5, 1, 5), (1, 1, 10), (1, 2, 5), (2, 1, 34), (2, 2, 10)],
)
def test_seeds_for_power(deviation: float, difference: float, seeds: int) -> None:
    """The table of a power of .8 at α = .05, and one fewer does not do."""
    assert seeds_needed(deviation, difference) == seeds
    assert power_of(seeds - 1, difference / deviation) < 0.8 <= power_of(seeds, difference / deviation)


def test_power_is_what_simulation_says() -> None:
    """20,000 t tests of 10 normal differences; four binomial standard errors."""
    d = np.random.default_rng(1).normal(0.8, 1, (20_000, 10))
    found = (stats.ttest_1samp(d, 0, axis=1).pvalue < 0.05).mean()
    assert abs(found - power_of(10, 0.8)) < 4 * np.sqrt(0.25 / 20_000)


@pytest.mark.parametrize("pairs", [2, 3, 7, 60, 5000])
def test_power_of_no_effect_is_the_level(pairs: int) -> None:
    assert power_of(pairs, 0.0) == pytest.approx(0.05, abs=1e-9)


@given(st.integers(2, 200), st.floats(0, 1))
def test_power_is_that_of_the_noncentral_t(pairs: int, effect: float) -> None:
    limit, shift = stats.t.ppf(0.975, pairs - 1), np.sqrt(pairs) * effect
    expected = stats.nct.sf(limit, pairs - 1, shift) + stats.nct.cdf(-limit, pairs - 1, shift)
    assume(np.isfinite(expected))  # scipy gives NaN for some large effects
    assert power_of(pairs, effect) == pytest.approx(expected, abs=1e-7)


@given(st.floats(0.01, 50), st.floats(0.05, 50))
def test_more_spread_never_needs_fewer_seeds(deviation: float, difference: float) -> None:
    few = seeds_needed(deviation, difference)
    assert few >= 2
    assert seeds_needed(deviation * 1.5, difference) >= few
    assert power_of(few, difference / deviation) >= 0.8
    assert few == 2 or power_of(few - 1, difference / deviation) < 0.8


def test_one_pair_makes_no_claim() -> None:
    found = paired(np.array([3.0]))
    assert (found.deviation, found.low, found.high, found.p_t) == (None, None, None, None)
    assert found.p_wilcoxon == 1.0
    assert not equivalent(found, 100.0)


def test_equal_differences_have_no_spread() -> None:
    assert paired(np.zeros(4)).p_t == 1.0
    assert paired(np.full(4, 0.5)).p_t == 0.0
    assert seeds_needed(0.0, 1.0) == 2


def test_two_one_sided_tests() -> None:
    """The same as two t tests of scipy against the bounds."""
    for seed in range(20):
        d = np.random.default_rng(seed).normal(0.1, 0.5, 8)
        above = stats.ttest_1samp(d, -0.5, alternative="greater").pvalue
        below = stats.ttest_1samp(d, 0.5, alternative="less").pvalue
        assert equivalent(paired(d), 0.5) == (max(above, below) < 0.05)


def test_interval_of_a_deviation_covers() -> None:
    """95 % of 4,000 intervals hold the true deviation; four binomial standard errors."""
    samples = np.random.default_rng(2).normal(0, 3, (4000, 6)).std(axis=1, ddof=1)
    inside = [low <= 3 <= high for low, high in (deviation_interval(s, 6) for s in samples)]
    assert abs(np.mean(inside) - 0.95) < 4 * np.sqrt(0.05 * 0.95 / 4000)


def test_area_of_a_constant_and_of_a_line() -> None:
    budgets = np.array([10, 20, 50])
    assert area_under(budgets, np.full((2, 3), 0.7)) == pytest.approx([0.7, 0.7])
    line = np.array([[1.0, 2.0, 5.0]])  # value = labels / 10
    assert area_under(budgets, line) == pytest.approx([3.0])
    assert area_under(np.array([5]), np.array([[0.4]])) == pytest.approx([0.4])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.floats(0, 1))
def test_area_is_linear_and_between_the_extremes(values: list[float], shift: float) -> None:
    curve = np.array([values])
    budgets = np.arange(len(values)) * 3 + 1
    area = area_under(budgets, curve)[0]
    assert curve.min() - 1e-12 <= area <= curve.max() + 1e-12
    assert area_under(budgets, curve + shift)[0] == pytest.approx(area + shift, abs=1e-9)


def test_labels_to_target_is_the_first_budget_that_reaches_it() -> None:
    budgets = np.array([10, 20, 30])
    values = np.array([[0.5, 0.9, 0.8], [0.1, 0.2, 0.3], [0.8, 0.1, 0.1]])
    assert labels_to_target(budgets, values, 0.8).tolist() == [20, -1, 10]


def kaplan_meier_median(times: list[int], end: int) -> int | None:
    """The product-limit estimator, step by step."""
    observed = [(t if t >= 0 else end, t >= 0) for t in times]
    survival = 1.0
    for t in sorted({time for time, event in observed if event}):
        at_risk = sum(time >= t for time, _ in observed)
        events = sum(time == t and event for time, event in observed)
        survival *= 1 - events / at_risk
        if survival <= 0.5 + 1e-12:
            return t
    return None


@given(st.lists(st.sampled_from([-1, 10, 20, 30, 40]), min_size=1, max_size=12))
def test_the_median_is_kaplan_meiers(times: list[int]) -> None:
    assert censored_median(np.array(times)) == kaplan_meier_median(times, 40)


def test_bands_are_student_intervals() -> None:
    values = RNG.normal(size=(6, 3))
    mean, half = mean_band(values)
    for column in range(3):
        interval = stats.ttest_1samp(values[:, column], 0).confidence_interval(0.95)
        assert (mean[column] - half[column], mean[column] + half[column]) == pytest.approx(tuple(interval))
    assert mean_band(values[:1])[1] is None


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30), st.floats(0.1, 3))
def test_noninferiority_is_scipy_s_one_sided_t_test(differences, margin):
    values = np.array(differences)
    found = noninferior_p(values, margin)
    if values.std() > 1e-6:
        expected = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert 0 <= found <= 1


def test_noninferiority_without_an_error_of_its_own():
    assert noninferior_p(np.array([9.0]), 1.0) == 1.0
    assert noninferior_p(np.zeros(5), 1.0) == 0.0
    assert noninferior_p(np.full(5, -1.0), 1.0) == 1.0
