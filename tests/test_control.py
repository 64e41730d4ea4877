"""The random share as a control, and LURE: unbiased by enumeration, intervals against worked numbers and simulation."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, hypergeom

from al_plugin.math import lure
from al_plugin.math.control import Counted, accuracy_on_chosen, accuracy_on_pool, selection_bias
from al_plugin.math.intervals import Estimate, Refused, difference, effective_size, wilson
from al_plugin.strategies.select import stochastic


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(pair: tuple[int, int]) -> None:
    found, theirs = wilson(*pair), binomtest(*pair).proportion_ci(method="wilson")
    assert found.low == pytest.approx(theirs.low, abs=1e-9)
    assert found.high == pytest.approx(theirs.high, abs=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [((56, 70), (48, 80), (0.2, 0.0524, 0.3339)), ((9, 10), (3, 10), (0.6, 0.1705, 0.8090))],
)
def test_differences_of_proportions_are_newcombes(first: tuple, second: tuple, expected: tuple) -> None:
    """Newcombe (1998), table II, method 10."""
    found = difference(wilson(*first), wilson(*second))
    assert (found.value, found.low, found.high) == pytest.approx(expected, abs=5e-5)


@pytest.mark.parametrize(("population", "right", "drawn"), [(20, 7, 5), (50, 30, 49), (9, 3, 1)])
def test_the_effective_size_gives_the_variance_of_a_draw_without_replacement(
    population: int, right: int, drawn: int
) -> None:
    p = right / population
    variance = hypergeom(population, right, drawn).var() / drawn**2
    assert p * (1 - p) / effective_size(drawn, population) == pytest.approx(variance, rel=1e-9)


def test_everything_drawn_leaves_no_doubt() -> None:
    found = accuracy_on_pool([Counted(1, 10, 7, 0, 0, 10)])
    assert found == Estimate(0.7, 0.7, 0.7)


def test_the_estimate_is_unbiased_over_all_draws() -> None:
    """Every draw of 3 of 7 candidates, 4 of them predicted rightly: the mean is 4/7."""
    right = [1, 1, 1, 1, 0, 0, 0]
    found = [accuracy_on_pool([Counted(1, 3, sum(draw), 0, 0, 7)]).value for draw in itertools.combinations(right, 3)]
    assert np.mean(found) == pytest.approx(4 / 7, abs=1e-12)


def test_rounds_are_pooled_by_their_number_of_random_rows() -> None:
    rounds = [Counted(1, 5, 2, 45, 10, 500.0), Counted(2, 10, 9, 40, 30, math.inf), Counted(3, 0, 0, 50, 40, 400.0)]
    found = accuracy_on_pool(rounds)
    assert found.value == pytest.approx(11 / 15)
    assert found.low < 11 / 15 < found.high
    assert accuracy_on_chosen(rounds).value == pytest.approx(80 / 135)
    # The third round has no control, so it has no part in the comparison.
    assert selection_bias(rounds).value == pytest.approx(11 / 15 - 40 / 85)


@pytest.mark.parametrize("rounds", [[], [Counted(1, 0, 0, 50, 30, 900.0)]])
def test_without_a_random_share_there_is_no_control(rounds: list[Counted]) -> None:
    assert isinstance(accuracy_on_pool(rounds), Refused)
    assert isinstance(selection_bias(rounds), Refused)


@pytest.mark.parametrize(("accuracies", "population", "drawn"), [([0.9], 60, 15), ([0.5, 0.7, 0.8, 0.9], 400, 5)])
def test_intervals_of_the_control_hold_the_truth(accuracies: list[float], population: int, drawn: int) -> None:
    """95 % of 1,500 campaigns, of one round and of four whose models differ: at least 93 %."""
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(1500):
        rounds = [
            Counted(
                r,
                drawn,
                int(rng.hypergeometric(right := round(p * population), population - right, drawn)),
                0,
                0,
                population,
            )
            for r, p in enumerate(accuracies)
        ]
        found = accuracy_on_pool(rounds)
        truth = np.mean([round(p * population) / population for p in accuracies])
        held += found.low <= truth <= found.high
    assert held / 1500 >= 0.93


LOSSES = np.array([0.0, 1.0, 3.0, 0.5, 2.0])
LOG_WEIGHTS = np.log(np.array([1.0, 4.0, 9.0, 0.5, 2.0]))


@pytest.mark.parametrize("drawn", [1, 2, 3, 4, 5])
def test_lure_is_unbiased_over_every_ordered_draw(drawn: int) -> None:
    """Exhaustive: the mean over all ordered draws of 5, by their probability, is the plain mean of all."""
    expected = naive = 0.0
    for order in itertools.permutations(range(5), drawn):
        q = lure.sequential_probabilities(LOG_WEIGHTS, np.array(order))
        weighted = (lure.lure_weights(q, 5) * LOSSES[list(order)]).mean()
        expected += q.prod() * weighted
        naive += q.prod() * LOSSES[list(order)].mean()
    assert expected == pytest.approx(LOSSES.mean(), abs=1e-12)
    if drawn < 5:
        assert abs(naive - LOSSES.mean()) > 0.05  # what it corrects


def test_the_probabilities_of_a_draw_are_those_of_what_is_left() -> None:
    weights = np.exp(LOG_WEIGHTS)
    found = lure.sequential_probabilities(LOG_WEIGHTS + 700.0, np.array([2, 0, 4]))
    assert found == pytest.approx([9 / 16.5, 1 / 7.5, 2 / 6.5])
    assert weights.sum() == pytest.approx(16.5)


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_even_draws_weigh_one_each(pair: tuple[int, int]) -> None:
    population, drawn = pair
    even = 1.0 / (population - np.arange(drawn))
    assert lure.lure_weights(even, population) == pytest.approx(np.ones(drawn), abs=1e-12)


def test_lure_of_the_whole_population_is_its_mean() -> None:
    order = np.array([3, 1, 0, 4, 2])
    q = lure.sequential_probabilities(LOG_WEIGHTS, order)
    found = lure.lure(LOSSES[order], q, 5)
    assert (found.low, found.value, found.high) == pytest.approx([LOSSES.mean()] * 3)


def test_lure_is_the_weighted_mean_that_its_variance_is_taken_of() -> None:
    """Σ c_m A_m = Σ v_m ℓ_m / M (Farquhar et al. 2021), here on 12 of 40."""
    rng = np.random.default_rng(3)
    log_weights, losses = rng.normal(size=40), rng.random(40)
    order = np.argsort(-(log_weights + rng.gumbel(size=40)))[:12]
    q = lure.sequential_probabilities(log_weights, order)
    m = np.arange(1, 13)
    share = 40 * (40 - 12) / (12 * (40 - m) * (40 - m + 1))
    terms = losses[order] / (40 * q) + np.concatenate([[0], np.cumsum(losses[order])[:-1]]) / 40
    assert share.sum() == pytest.approx(1.0)
    assert lure.lure(losses[order], q, 40).value == pytest.approx((share * terms).sum(), abs=1e-12)


def test_lure_is_refused_where_something_had_no_chance_or_draws_are_few() -> None:
    assert "no chance" in lure.lure(np.zeros(10), np.array([0.1] * 9 + [0.0]), 50).refused
    assert "2 of the 10" in lure.lure(np.zeros(2), np.array([0.1, 0.1]), 50).refused


def test_lure_is_unbiased_and_its_interval_holds_in_simulation() -> None:
    """Softmax draws of 60 of 400 that prefer wrong predictions, 800 times: the plain mean is far off."""
    rng = np.random.default_rng(4)
    losses = (rng.random(400) < 0.2).astype(float)
    log_weights = 1.5 * losses + rng.normal(scale=0.5, size=400)
    found, naive = [], []
    for _ in range(800):
        order = np.argsort(-(log_weights + rng.gumbel(size=400)))[:60]
        found.append(lure.lure(losses[order], lure.sequential_probabilities(log_weights, order), 400))
        naive.append(losses[order].mean())
    values, truth = np.array([one.value for one in found]), losses.mean()
    error = values.std() / np.sqrt(800)
    assert abs(values.mean() - truth) < 4 * error
    assert np.mean(naive) - truth > 0.2
    held = np.mean([one.low <= truth <= one.high for one in found])
    assert held >= 0.93


def test_no_error_seen_is_not_no_error() -> None:
    """Sixty right predictions of 400 even draws: Wilson's upper end, corrected for the finite pool."""
    even = 1.0 / (400 - np.arange(60))
    found = lure.lure(np.zeros(60), even, 400)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(wilson(0, 60, effective=effective_size(60, 400)).high)
    uneven = lure.sequential_probabilities(np.linspace(0, 3, 400), np.arange(399, 339, -1))
    assert lure.lure(np.zeros(60), uneven, 400).high > found.high


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("pull", [-1.0, 0.0, 1.0, 2.0])
def test_coverage_of_lure(rate: float, pull: float) -> None:
    """Draws that seek errors, or shun them; 1,000 queries of 50 from 600."""
    rng = np.random.default_rng(6)
    losses = (np.arange(600) < 600 * rate).astype(float)
    log_weights = pull * losses + rng.normal(scale=0.7, size=600)
    held = 0
    for _ in range(1000):
        order = np.argsort(-(log_weights + rng.gumbel(size=600)))[:50]
        found = lure.lure(losses[order], lure.sequential_probabilities(log_weights, order), 600)
        held += found.low <= rate <= found.high
    print(f"rate={rate} pull={pull}: {held / 1000:.3f}")
    assert held / 1000 >= 0.9


@pytest.mark.parametrize("name", ["power", "softmax", "softrank"])
def test_the_weights_are_those_the_strategy_draws_by(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to a constant, which a draw does not see."""
    handed = []

    def noisy(keys: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        handed.append(keys)
        return np.arange(n)

    monkeypatch.setattr(stochastic, "_noisy", noisy)
    scores = np.array([0.3, 0.0, 2.0, 0.3, 0.7])
    getattr(stochastic, name)(scores, 2, np.random.default_rng(0), beta=1.7)
    ours = lure.log_weights(name, scores, 1.7)
    finite = np.isfinite(handed[0])
    assert (np.isfinite(ours) == finite).all()
    assert np.ptp(handed[0][finite] - ours[finite]) < 1e-12
    assert lure.log_weights("top", scores, 1.0) is None


def test_lure_refuses_what_no_mean_can_be() -> None:
    """One draw of a weight far above the others: the mean of losses of at most 1 came out as 63."""
    chances = [1e-4, *(1 / (50 - m) for m in range(1, 12))]
    found = lure.lure(np.ones(12), chances, 50)
    assert isinstance(found, Refused)
    assert "too uneven" in found.refused
