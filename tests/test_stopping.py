"""When to stop: each criterion against an independent oracle, and never too early."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn.metrics import cohen_kappa_score, f1_score

from al_plugin.math import ridge, stopping
from al_plugin.math.stopping import State, decide
from al_plugin.settings import CRITERIA

PREDICTIONS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(0, 3), min_size=n, max_size=n).map(np.array) for _ in range(2)))
)


def table(a: int, b: int, c: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Two raters of a 2 by 2 table: both yes a, yes-no b, no-yes c, both no d."""
    return np.array([1] * (a + b) + [0] * (c + d)), np.array([1] * a + [0] * b + [1] * c + [0] * d)


@pytest.mark.parametrize(
    ("cells", "expected"), [((20, 5, 10, 15), 0.4), ((45, 15, 25, 15), 6 / 46), ((25, 35, 5, 35), 14 / 54)]
)
def test_kappa_of_worked_tables(cells: tuple[int, ...], expected: float) -> None:
    """Agreement .7 against .5 by chance is .4; the others share an agreement of .6 and differ by chance."""
    assert stopping.kappa(*table(*cells)) == pytest.approx(expected, abs=1e-15)


@given(PREDICTIONS)
@pytest.mark.filterwarnings("ignore")
def test_kappa_is_scikit_learns_and_symmetric(pair: tuple[np.ndarray, np.ndarray]) -> None:
    found = stopping.kappa(*pair)
    theirs = cohen_kappa_score(*pair)
    assert found == pytest.approx(1.0 if math.isnan(theirs) else theirs, abs=1e-12)
    assert found == stopping.kappa(pair[1], pair[0])
    assert -1.0 <= found <= 1.0


def test_kappa_of_one_class_alone_is_one() -> None:
    """0/0: two models that name the same single class agree."""
    assert stopping.kappa(np.full(5, 2), np.full(5, 2)) == 1.0
    assert stopping.kappa(np.full(5, 2), np.full(5, 1)) == 0.0


def test_kappa_of_random_predictions_is_near_zero() -> None:
    rng = np.random.default_rng(0)
    assert abs(stopping.kappa(rng.integers(0, 5, 50_000), rng.integers(0, 5, 50_000))) < 0.01


@given(PREDICTIONS)
@pytest.mark.filterwarnings("ignore")
def test_the_predicted_change_of_f_is_one_minus_f_of_one_model_by_the_other(pair: tuple[np.ndarray, ...]) -> None:
    named = np.unique(np.concatenate(pair))
    expected = 1.0 - f1_score(*pair, average="macro", labels=named, zero_division=0)
    assert stopping.f_change(*pair) == pytest.approx(expected, abs=1e-12)
    assert stopping.changed_share(*pair) == np.mean(pair[0] != pair[1])


def test_agreement_bounds_the_change_of_f() -> None:
    """Bloodgood & Grothendieck (2013): κ ≥ T bounds the difference of F by 4 (1-T) / T, whatever the truth."""
    rng = np.random.default_rng(1)
    tried = 0
    for _ in range(3000):
        n = rng.integers(3, 40)
        truth = rng.integers(0, 2, n)
        first = np.where(rng.random(n) < 0.9, truth, 1 - truth)
        second = np.where(rng.random(n) < 0.9, first, 1 - first)
        agreement = stopping.kappa(first, second)
        if agreement > 0:
            tried += 1
            scores = [2 * (truth & m).sum() / max(truth.sum() + m.sum(), 1) for m in (first, second)]
            assert abs(scores[0] - scores[1]) <= 4 * (1 - agreement) / agreement + 1e-12
    assert tried > 1000


@settings(deadline=None)
@given(st.integers(2, 12), st.integers(0, 10_000), st.floats(0.1, 5))
def test_the_bound_on_entropy_holds_and_is_exact_for_two_classes(classes: int, seed: int, peak: float) -> None:
    probs = np.random.default_rng(seed).dirichlet(np.full(classes, 1 / peak), size=20)
    entropy = -(probs * np.log(np.maximum(probs, 1e-300))).sum(axis=1).mean() / math.log(classes)
    found = stopping.uncertainty_bound(probs.max(axis=1), classes)
    assert entropy - 1e-9 <= found <= 1.0
    if classes == 2:
        assert found == pytest.approx(entropy, abs=1e-9)


def test_the_bound_on_entropy_at_its_ends() -> None:
    assert stopping.uncertainty_bound(np.ones(3, np.float32), 4) == 0.0
    assert stopping.uncertainty_bound(np.full(3, 0.25, np.float32), 4) == pytest.approx(1.0)


@pytest.mark.parametrize("divergence", [1e-10, 1e-8, 2e-8, 1e-5, 0.1, 1.0, 7.0, 500.0])
def test_the_stability_bound_solves_its_equation(divergence: float) -> None:
    """x with (1+x) log(1+x) - x = KL, found by bisection; KL = 1 gives e - 1 exactly."""

    def equation(x: float) -> float:
        # The series where the difference would cancel.
        series = x**2 / 2 - x**3 / 6 + x**4 / 12
        return (series if x < 1e-2 else (1 + x) * math.log1p(x) - x) - divergence

    root = brentq(equation, 0, 20 + 2 * divergence, xtol=1e-17, rtol=1e-14)
    tolerance = 1e-6 if divergence < 1e-4 else 1e-9
    assert stopping.stability_bound(divergence, 0.0) == pytest.approx(root, rel=tolerance)
    assert stopping.stability_bound(divergence, 1.0) == pytest.approx(root + math.e - 1, rel=tolerance)
    assert stopping.stability_bound(0.0, 0.0) == 0.0


def test_identical_predictions_stop_exactly_at_the_end_of_the_window() -> None:
    same = np.arange(30) % 3
    kappas = [stopping.kappa(same, same) for _ in range(5)]
    held = [stopping.stabilising_predictions(kappas[:n], threshold=0.99, window=3).holds for n in range(1, 6)]
    assert held == [None, None, True, True, True]


def test_stabilising_predictions_looks_at_the_mean_of_the_window_alone() -> None:
    settings_of = {"threshold": 0.99, "window": 3}
    assert not stopping.stabilising_predictions([1, 1, 1, 0.98, 0.98, 0.99], **settings_of).holds
    state = stopping.stabilising_predictions([0.1, 0.985, 0.99, 0.996], **settings_of)
    assert state.holds
    assert state.numbers["kappa"] == pytest.approx(0.990333, abs=1e-6)


@pytest.mark.parametrize("criterion", [stopping.delta_f, stopping.classification_change])
def test_one_change_in_the_window_is_enough_to_go_on(criterion: object) -> None:
    assert criterion([0.5, 0.01, 0.0, 0.01], threshold=0.01, window=3).holds
    assert not criterion([0.01, 0.02, 0.0], threshold=0.01, window=3).holds
    assert criterion([0.0], threshold=0.01, window=3).holds is None


def test_uncertainty_looks_at_the_newest_round() -> None:
    assert stopping.overall_uncertainty([0.5, 0.04], threshold=0.05).holds
    assert not stopping.overall_uncertainty([0.01, 0.06], threshold=0.05).holds
    assert stopping.overall_uncertainty([], threshold=0.05).holds is None


def test_error_stability_is_the_ratio_to_the_first_rounds_and_once_reached_holds() -> None:
    """R_t / min(R_0..R_w) by hand: 4, 2, 3 then 1, .2, .5 with w = 2: ratios .5, .1, .25."""
    bounds = [4.0, 2.0, 3.0, 1.0, 0.2, 0.5]
    at = [stopping.error_stability(bounds[:n], threshold=0.1, window=2) for n in range(1, 7)]
    assert [state.holds for state in at] == [None, None, None, False, True, True]
    assert at[-1].numbers["ratio"] == pytest.approx(0.25)
    assert at[-1].numbers["lowest"] == pytest.approx(0.1)


def test_plateau_says_that_it_looks_at_evaluation_labels_and_the_others_cannot() -> None:
    """The API hands evaluation metrics to no other criterion."""
    state = stopping.plateau([0.5, 0.8, 0.803, 0.801], threshold=0.005, window=2)
    assert state.holds
    assert state.on_evaluation
    assert not stopping.plateau([0.5, 0.8, 0.81], threshold=0.005, window=2).holds
    assert stopping.plateau([0.5, 0.8], threshold=0.005, window=2).on_evaluation
    for name in CRITERIA:
        function = getattr(stopping, name, None)
        if function is not None and name != "plateau":
            assert not {"metric", "accuracy"} & set(inspect.signature(function).parameters)


def test_a_budget_is_spent_when_it_is_reached() -> None:
    assert stopping.budget("labels", 100, 100).holds
    assert not stopping.budget("money", 99.5, 100).holds


YES, NO, UNKNOWN = (State(word, holds, word, {}) for word, holds in (("yes", True), ("no", False), ("what", None)))


@pytest.mark.parametrize(
    ("states", "combine", "stop"),
    [
        ([YES, NO], "any", True),
        ([YES, NO], "all", False),
        ([YES, YES], "all", True),
        ([YES, UNKNOWN], "all", False),
        ([NO, UNKNOWN], "any", False),
        ([], "any", False),
        ([], "all", False),
    ],
)
def test_criteria_compose(states: list[State], combine: str, stop: bool) -> None:
    """What cannot be judged does not hold; nothing named never stops."""
    assert decide(states, combine, rounds=9, min_rounds=3).stop is stop


@given(st.lists(st.sampled_from([YES, NO, UNKNOWN])), st.sampled_from(["any", "all"]), st.integers(0, 4))
def test_never_before_the_minimum_number_of_rounds(states: list[State], combine: str, rounds: int) -> None:
    assert not decide(states, combine, rounds, min_rounds=5).stop


def test_a_spent_budget_does_not_wait() -> None:
    spent = stopping.budget("labels", 10, 10)
    assert decide([spent, NO], "any", rounds=1, min_rounds=5).stop
    assert not decide([spent, YES], "all", rounds=1, min_rounds=5).stop


def test_reasons_name_the_criterion_and_the_number() -> None:
    spent = stopping.budget("labels", 10, 10)
    assert decide([spent], "any", 1, 3).reason == "labels: 10 of 10 labels spent"
    assert "1 of at least 3 rounds" in decide([YES], "any", 1, 3).reason


def companion(seed: int, labels: int) -> ridge.Posterior:
    rng = np.random.default_rng(seed)
    inputs = ridge.standardised(rng.normal(size=(60, 3)).astype(np.float32))
    return ridge.posterior(inputs[:labels], rng.integers(0, 2, 60)[:labels], 2)


def test_the_companion_is_ridge_regression() -> None:
    """Mean as scikit-learn's Ridge with alpha = D · noise; constant features count for nothing."""
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=(40, 3)), np.full(40, 7.0)])
    labels = rng.integers(0, 3, 40)
    inputs = ridge.standardised(features)
    assert (inputs[:, 3] == 0).all()
    theirs = Ridge(alpha=5 * ridge.NOISE, fit_intercept=False).fit(inputs, np.eye(3)[labels])
    assert ridge.posterior(inputs, labels, 3).mean == pytest.approx(theirs.coef_.T, abs=1e-10)


def test_divergence_is_that_of_normals_and_not_symmetric() -> None:
    """As torch.distributions computes it, class by class."""
    import torch
    from torch.distributions import MultivariateNormal, kl_divergence

    p, q = companion(0, 10), companion(0, 30)

    def normals(one: ridge.Posterior) -> list[MultivariateNormal]:
        return [
            MultivariateNormal(torch.tensor(one.mean[:, c]), precision_matrix=torch.tensor(one.precision))
            for c in range(2)
        ]

    expected = sum(float(kl_divergence(a, b)) for a, b in zip(normals(p), normals(q), strict=True))
    assert ridge.divergence(p, q) == pytest.approx(expected, rel=1e-9)
    assert ridge.divergence(p, p) == pytest.approx(0.0, abs=1e-9)
    assert ridge.divergence(p, q) != pytest.approx(ridge.divergence(q, p), rel=1e-3)
