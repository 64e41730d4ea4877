"""GALAXY's line graphs against a naive walk, and the properties of its search."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_plugin.math.information import entropy
from al_plugin.math.line_graph import class_line, line, next_place, one_vs_rest
from al_plugin.math.logistic import fit_logistic, logits
from al_plugin.strategies.select.graph import galaxy


def two_classes(margins: np.ndarray) -> np.ndarray:
    """Log-probabilities of which class 0 has log-odds ``margins``."""
    return np.stack([-np.logaddexp(0, -margins), -np.logaddexp(0, margins)], axis=1)


def walked(tokens: list[str]) -> int | None:
    """The next place by walking the line: '+', '-' labelled, '.' free, 'x' asked already. Counts '.' and 'x'."""
    places, stretches, last, run = [], [], None, []
    for token in tokens:
        if token in "+-":
            if last is not None and last != token:
                stretches.append(run)
            last, run = token, []
        else:
            run = [*run, len(places)]
            places.append(token)
    if not stretches:
        return None
    # An empty stretch lies between the places before and after it.
    usable = [one for one in stretches if any(places[p] == "." for p in one)]
    if usable:
        shortest = min(usable, key=len)
        runs, current = [], []
        for p in [*shortest, None]:
            if p is not None and places[p] == ".":
                current = [*current, p]
            else:
                runs.append(current)
                current = []
        longest = max(runs, key=len)
        return longest[(len(longest) - 1) // 2]
    return None


def laid_out(tokens: list[str]) -> tuple:
    """The same line as arrays: margins fall from left to right."""
    margins = -np.arange(len(tokens), dtype=float)
    known = np.array([token in "+-" for token in tokens], dtype=bool)
    signs = np.array(tokens)
    on = line(margins[~known], margins[known], signs[known] == "+")
    return on, signs[~known][on.order] == "."


@given(st.lists(st.sampled_from("+-....x"), min_size=1, max_size=40))
@settings(max_examples=300)
def test_equals_the_naive_walk(tokens: list[str]) -> None:
    on, free = laid_out(tokens)
    expected, found = walked(tokens), next_place(on, free) if free.any() else None
    crossed = [t for t in tokens if t in "+-"]
    if len(set(crossed)) < 2:
        assert found is None
    elif expected is not None:
        assert found == expected
    elif free.any():
        gaps = nearest_cut(tokens)
        assert found is not None
        assert gaps[found] == min(gap for gap, is_free in zip(gaps, free, strict=True) if is_free)
        assert all(gap > gaps[found] for gap, is_free in zip(gaps[:found], free[:found], strict=True) if is_free)


def nearest_cut(tokens: list[str]) -> list[int]:
    """For each place the number of places from it to the nearest used-up stretch between unlike labels."""
    places, spans, last = 0, [], None
    for token in tokens:
        if token in "+-":
            if last is not None and last[0] != token:
                spans.append((last[1], places))
            last = (token, places)
        else:
            places += 1
    return [min(start - p if p < start else max(p - end + 1, 0) for start, end in spans) for p in range(places)]


@pytest.mark.parametrize("cut", [1, 17, 256, 300, 511])
def test_a_threshold_is_found_in_log_n_queries(cut: int) -> None:
    """The model's boundary is wrong; one query at a time with true labels bisects to the true one."""
    margins = np.linspace(5, -5, 512)
    truth = (np.arange(512) >= cut).astype(int)
    known, rng = [0, 511], np.random.default_rng(cut)
    queries = 0
    while not {cut - 1, cut} <= set(known):
        pool = np.setdiff1d(np.arange(512), known)
        logs = two_classes(margins)
        pick = galaxy(logs[pool], logs[known], truth[known], 1, rng)
        known.append(int(pool[pick[0]]))
        queries += 1
    assert queries <= np.ceil(np.log2(512))


@pytest.mark.parametrize("n", [1, 2, 5, 10, 31])
def test_picks_are_balanced_around_a_known_cut(n: int) -> None:
    """Neighbours with different labels: a batch takes as many from the one side as from the other."""
    margins = np.linspace(5, -5, 200)
    known, labels = np.array([119, 120]), np.array([0, 1])
    pool = np.setdiff1d(np.arange(200), known)
    logs = two_classes(margins)
    places = pool[galaxy(logs[pool], logs[known], labels, n, np.random.default_rng(n))]
    left, right = (places < 119).sum(), (places > 120).sum()
    assert abs(int(left) - int(right)) <= 1
    assert np.abs(places - 119.5).max() <= n / 2 + 1.5


def test_a_batch_splits_the_stretch_evenly() -> None:
    """Labels of the batch are unknown, so three picks leave four runs of equal length, where a bisection with
    guessed labels would leave one of a half."""
    margins = np.linspace(5, -5, 33)
    logs = two_classes(margins)
    picks = galaxy(logs[1:32], logs[[0, 32]], np.array([0, 1]), 3, np.random.default_rng(0))
    assert sorted(picks + 1) == [8, 16, 24]


def fitted_log_odds(seen: np.ndarray, labels: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Both classes weigh the same: the authors train with a loss weighted by the inverse class frequency."""
    weights = len(labels) / 2 / np.bincount(labels, minlength=2)[labels]
    return logits(pool, fit_logistic(seen, labels == 1, weights, penalty=0.1))


def rare_found(seed: int) -> tuple[int, int, int]:
    """Positives that GALAXY, entropy and a uniform draw find in five rounds of 20, 1 % of 3000 being positive."""
    rng = np.random.default_rng(seed)
    rare = rng.permutation(3000) < 30
    points = rng.normal(size=(3000, 4)) + rare[:, None] * np.array([1.4, 1.4, 0.0, 0.0])
    start = np.concatenate([np.flatnonzero(rare)[:2], np.flatnonzero(~rare)[:18]])
    totals = []
    for method in ("galaxy", "entropy", "random"):
        known = start.copy()
        for _ in range(5):
            logs = two_classes(-fitted_log_odds(points[known], rare[known].astype(int), points))
            pool = np.setdiff1d(np.arange(3000), known)
            if method == "galaxy":
                picks = galaxy(logs[pool], logs[known], rare[known].astype(int), 20, rng)
            elif method == "entropy":
                picks = np.argsort(-entropy(logs[pool]), kind="stable")[:20]
            else:
                picks = rng.permutation(len(pool))[:20]
            known = np.concatenate([known, pool[picks]])
        totals.append(int(rare[known].sum()) - 2)
    return totals[0], totals[1], totals[2]


def test_rare_class_is_found_as_often_as_by_entropy() -> None:
    """1 : 100, a model trained with class weights, as in the paper. Over ten pools GALAXY's batches hold at least
    as many of the rare class as entropy's. (With an unweighted loss they do not, nor do the authors' picks.)"""
    found = np.array([rare_found(seed) for seed in range(10)]).sum(axis=0)
    assert found[0] >= found[1]
    assert found[0] > 3 * found[2]


def test_margin_of_one_class_against_the_rest() -> None:
    rng = np.random.default_rng(3)
    logs = np.log(rng.dirichlet(np.ones(5), size=50))
    for label in range(5):
        others = np.delete(logs, label, axis=1).max(axis=1)
        np.testing.assert_allclose(one_vs_rest(logs, label), logs[:, label] - others, rtol=1e-12)
    sure = np.array([[0.0, -np.inf, -np.inf]])
    assert [float(one_vs_rest(sure, label)[0]) for label in range(3)] == [np.inf, -np.inf, -np.inf]
    tied = np.log(np.array([[0.4, 0.4, 0.2]]))
    assert [float(one_vs_rest(tied, label)[0]) for label in range(2)] == [0.0, 0.0]


def test_without_labels_of_two_sides_there_is_no_cut() -> None:
    logs = two_classes(np.linspace(2, -2, 20))
    on = class_line(logs, logs[:3], np.zeros(3, dtype=int), 0)
    assert next_place(on, np.ones(20, dtype=bool)) is None
    assert len(set(galaxy(logs, logs[:0], np.empty(0, dtype=int), 20, np.random.default_rng(0)).tolist())) == 20
