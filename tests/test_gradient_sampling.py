"""BADGE: explicit gradients, the D² law and the naive float64 form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from al_plugin.math.gradient_sampling import factored_d2_sampling, predicted_residual
from al_plugin.strategies.select.gradient import badge


def predictions(n: int, c: int, seed: int = 0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(n, c)) * 3
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def hidden(n: int, d: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def explicit(log_probs: np.ndarray, h: np.ndarray) -> np.ndarray:
    """(p - e_ŷ) ⊗ [h, 1], formed."""
    p = np.exp(log_probs)
    p[np.arange(len(p)), p.argmax(axis=1)] -= 1
    extended = np.concatenate([h, np.ones((len(h), 1))], axis=1)
    return (p[:, :, None] * extended[:, None, :]).reshape(len(p), -1)


@given(st.integers(0, 1000))
def test_factored_distances_equal_explicit_ones(seed: int) -> None:
    log_probs, h = predictions(12, 5, seed), hidden(12, 4, seed + 1)
    residual = predicted_residual(log_probs)
    inputs = np.concatenate([h, np.ones((12, 1))], axis=1)
    g = explicit(log_probs, h)
    np.testing.assert_allclose((residual[:, :, None] * inputs[:, None, :]).reshape(12, -1), g, atol=1e-12)
    norms = (residual**2).sum(1) * (inputs**2).sum(1)
    cross = (residual @ residual.T) * (inputs @ inputs.T)
    expected = ((g[:, None] - g[None]) ** 2).sum(-1)
    np.testing.assert_allclose(norms[:, None] + norms[None] - 2 * cross, expected, atol=1e-9)


def test_badge_first_pick_is_the_longest_gradient() -> None:
    log_probs, h = predictions(40, 5), hidden(40, 6)
    picks = badge(log_probs, h, 5, np.random.default_rng(0))
    assert picks[0] == np.linalg.norm(explicit(log_probs, h), axis=1).argmax()


def test_badge_second_pick_follows_the_squared_distance() -> None:
    """χ² over 4,000 seeds; most peers get this law wrong (index bias, labelled seeds, D instead of D²)."""
    log_probs, h = predictions(8, 3), hidden(8, 2)
    g = explicit(log_probs, h)
    first = int(np.linalg.norm(g, axis=1).argmax())
    expected = ((g - g[first]) ** 2).sum(axis=1)
    expected /= expected.sum()
    rng = np.random.default_rng(5)
    counts = np.bincount([badge(log_probs, h, 2, rng)[1] for _ in range(4000)], minlength=8)
    keep = expected > 1e-12
    assert counts[~keep].sum() == 0
    assert stats.chisquare(counts[keep], expected[keep] * counts.sum()).pvalue > 1e-4


def test_badge_never_picks_a_copy_while_others_are_left() -> None:
    """Exact duplicates have distance 0; certain predictions are all copies of gradient 0."""
    log_probs, h = predictions(6, 4), hidden(6, 3)
    doubled, twice = np.repeat(log_probs, 3, axis=0), np.repeat(h, 3, axis=0)
    for seed in range(30):
        picks = badge(doubled, twice, 6, np.random.default_rng(seed))
        assert sorted(picks // 3) == list(range(6))
    certain = np.where(np.arange(4) == 0, 0.0, -np.inf) + np.zeros((10, 4))
    mixed = np.concatenate([certain, log_probs])
    for seed in range(30):
        picks = badge(mixed, np.concatenate([hidden(10, 3, 9), h]), 7, np.random.default_rng(seed))
        assert (picks < 10).sum() <= 1


def test_badge_does_not_depend_on_class_numbers_without_ties() -> None:
    """What the card declares broken is broken by ties alone."""
    log_probs, h = predictions(60, 5), hidden(60, 4)
    order = np.array([3, 0, 4, 1, 2])
    for seed in range(10):
        one = badge(log_probs, h, 12, np.random.default_rng(seed))
        other = badge(log_probs[:, order], h, 12, np.random.default_rng(seed))
        assert one.tolist() == other.tolist()


def test_d2_sampling_of_a_pool_of_copies_is_a_permutation() -> None:
    picks = factored_d2_sampling(np.zeros((9, 3)), np.ones((9, 2)), 9, np.random.default_rng(0))
    assert sorted(picks) == list(range(9))


def naive(g: np.ndarray, n: int, rng: np.random.Generator) -> list[int]:
    picks = [int((g**2).sum(axis=1).argmax())]
    nearest = ((g - g[picks[0]]) ** 2).sum(axis=1)
    while len(picks) < n:
        mass = np.cumsum(nearest)
        picks.append(int(np.searchsorted(mass, rng.random() * mass[-1], side="right")))
        np.minimum(nearest, ((g - g[picks[-1]]) ** 2).sum(axis=1), out=nearest)
    return picks


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sequential_equals_the_naive_form(seed: int, dtype: type) -> None:
    """The same uniform stream gives the same picks, also from inputs in single precision."""
    log_probs, h = predictions(400, 4, seed).astype(dtype), hidden(400, 6, seed + 1).astype(dtype)
    residual, wide = predicted_residual(log_probs).astype(np.float64), h.astype(np.float64)
    extended = np.concatenate([wide, np.ones((400, 1))], axis=1)
    g = (residual[:, :, None] * extended[:, None, :]).reshape(400, -1)
    picks = badge(log_probs, h, 60, np.random.default_rng(seed), mode="sequential")
    assert picks.tolist() == naive(g, 60, np.random.default_rng(seed))


@pytest.mark.parametrize("mode", ["fast", "sequential"])
def test_the_second_and_third_pick_follow_the_law_together(mode: str) -> None:
    """χ² over pairs: P(i, j) = D²(i) / Σ D² times the same after i was added, in closed form."""
    log_probs, h = predictions(7, 3, 3), hidden(7, 2, 4)
    g = explicit(log_probs, h)
    gaps = ((g[:, None] - g[None]) ** 2).sum(axis=2)
    first = gaps[np.linalg.norm(g, axis=1).argmax()]
    after = np.minimum(first, gaps)
    expected = (first / first.sum())[:, None] * after / after.sum(axis=1, keepdims=True)
    counts, rng = np.zeros((7, 7)), np.random.default_rng(6)
    for _ in range(6000):
        _, i, j = badge(log_probs, h, 3, rng, mode=mode)
        counts[i, j] += 1
    keep = expected > 1e-12
    assert counts[~keep].sum() == 0
    rare = expected[keep] * 6000 < 5
    observed, due = counts[keep], expected[keep] * 6000
    if rare.any():
        observed, due = (np.append(x[~rare], x[rare].sum()) for x in (observed, due))
    assert stats.chisquare(observed, due).pvalue > 1e-4


def heavy(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A few gradients hold nearly all the mass: most proposals are wasted."""
    return predictions(n, 4, seed), hidden(n, 5, seed) * np.exp(3 * hidden(n, 1, seed + 1))


@pytest.mark.parametrize("seed", range(5))
def test_fewer_picks_are_a_prefix(seed: int) -> None:
    log_probs, h = heavy(900, seed)
    whole = badge(log_probs, h, 900, np.random.default_rng(seed)).tolist()
    assert sorted(whole) == list(range(900))
    for n in (1, 2, 127, 128, 129, 500):
        assert badge(log_probs, h, n, np.random.default_rng(seed)).tolist() == whole[:n]


def test_the_last_pick_of_many_follows_the_law() -> None:
    """After renewals too: the share of mass that fast and sequential leave uncovered is the same on average."""
    log_probs, h = heavy(300, 1)
    g = explicit(log_probs, h)
    left = {}
    for mode in ("fast", "sequential"):
        rng, values = np.random.default_rng(8), []
        for _ in range(60):
            picks = badge(log_probs, h, 60, rng, mode=mode)
            values.append(np.log(((g[:, None] - g[picks][None]) ** 2).sum(axis=2).min(axis=1).sum()))
        left[mode] = np.array(values)
    assert stats.ttest_ind(left["fast"], left["sequential"]).pvalue > 1e-4


def test_more_picks_than_gradients() -> None:
    with pytest.raises(ValueError, match="asked for 4 picks of 3"):
        factored_d2_sampling(np.ones((3, 2)), np.ones((3, 2)), 4, np.random.default_rng(0))
