"""EGL and BADGE against autograd, explicit gradients and the D² law; CAL against brute force."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from al_plugin.math.expected_change import expected_gradient_length
from al_plugin.math.gradient_sampling import (
    FactoredGaps,
    badge_picks,
    badge_picks_in_sequence,
    factored_norms,
    gradient_residual,
)
from al_plugin.math.neighbours import nearest
from al_plugin.strategies.score.contrastive import cal
from al_plugin.strategies.select.gradient import badge
from al_plugin.strategies.select.stochastic import power, softmax, softrank


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


def test_egl_equals_autograd() -> None:
    """Σ_y p_y ‖∇ℓ(x, y)‖ by C backward passes through a linear head with bias."""
    h, log_probs = hidden(6, 5), None
    layer = torch.nn.Linear(5, 4).double()
    inputs = torch.from_numpy(h)
    log_probs = torch.log_softmax(layer(inputs), dim=1).detach().numpy()
    ours = expected_gradient_length(log_probs, h)
    for i in range(6):
        total = 0.0
        for y in range(4):
            layer.zero_grad()
            torch.nn.functional.cross_entropy(layer(inputs[i : i + 1]), torch.tensor([y])).backward()
            norm = torch.cat([layer.weight.grad.flatten(), layer.bias.grad]).norm().item()
            total += float(np.exp(log_probs[i, y])) * norm
        assert ours[i] == pytest.approx(total, rel=1e-10)


def test_egl_is_zero_for_a_certain_prediction() -> None:
    certain = np.array([[0.0, -np.inf, -np.inf], [-1e-20, -46.0, -np.inf]])
    scores = expected_gradient_length(certain, hidden(2, 3))
    assert scores[0] == 0
    assert 0 < scores[1] < 1e-15


def test_egl_for_two_classes_orders_as_least_confidence() -> None:
    """With ‖h‖ constant the head term is 2 √2 p (1 - p)."""
    log_probs = predictions(50, 2)
    scores = expected_gradient_length(log_probs, np.ones((50, 3)))
    p = np.exp(log_probs[:, 0])
    other = np.exp(log_probs[:, 1])
    np.testing.assert_allclose(scores, np.sqrt(4.0) * 2 * np.sqrt(2) * p * other, rtol=1e-12)


@given(st.integers(0, 1000))
def test_factored_distances_equal_explicit_ones(seed: int) -> None:
    log_probs, h = predictions(12, 5, seed), hidden(12, 4, seed + 1)
    residual, g = gradient_residual(log_probs), explicit(log_probs, h)
    norms = factored_norms(residual, h)
    np.testing.assert_allclose(norms, (g**2).sum(axis=1), atol=1e-12)
    expected = ((g[:, None] - g[None, 3:8]) ** 2).sum(-1).min(axis=1)
    found = FactoredGaps(residual, h, 12)(np.arange(12), np.arange(8), 3)
    np.testing.assert_allclose(found, expected, atol=1e-9)


MODES = pytest.mark.parametrize("mode", ["fast", "sequential"])


@MODES
def test_badge_third_pick_follows_the_law(mode: str) -> None:
    """χ² over 6,000 seeds of the pair (second, third), against the law by enumeration."""
    log_probs, h = predictions(6, 3), hidden(6, 2)
    g = explicit(log_probs, h)
    squared = ((g[:, None] - g[None]) ** 2).sum(-1)
    first = int(np.linalg.norm(g, axis=1).argmax())
    expected = np.zeros((6, 6))
    for second in range(6):
        left = np.minimum(squared[first], squared[second])
        if squared[first, second] > 1e-12:
            expected[second] = squared[first, second] / squared[first].sum() * left / left.sum()
    rng, counts = np.random.default_rng(6), np.zeros((6, 6))
    for _ in range(6000):
        _, second, third = badge(log_probs, h, 3, rng, mode=mode)
        counts[second, third] += 1
    keep = expected > 1e-9
    assert counts[~keep].sum() == 0
    assert stats.chisquare(counts[keep], expected[keep] / expected[keep].sum() * 6000).pvalue > 1e-4


def test_badge_in_sequence_equals_the_plain_form_on_the_same_stream() -> None:
    log_probs, h = predictions(300, 6), hidden(300, 5)
    g = explicit(log_probs, h)
    rng, picks = np.random.default_rng(4), [int((g**2).sum(axis=1).argmax())]
    nearest = ((g - g[picks[0]]) ** 2).sum(axis=1)
    while len(picks) < 60:
        mass = np.cumsum(nearest)
        picks.append(int(np.searchsorted(mass, rng.random() * mass[-1], side="right")))
        nearest = np.minimum(nearest, ((g - g[picks[-1]]) ** 2).sum(axis=1))
    assert badge(log_probs, h, 60, np.random.default_rng(4), mode="sequential").tolist() == picks


def test_badge_in_single_precision_keeps_copies_apart() -> None:
    """Float32 signals: no copy is picked while others are left, whatever the rounding of the factors."""
    log_probs = np.repeat(predictions(50, 5).astype(np.float32), 4, axis=0)
    h = np.repeat(hidden(50, 7).astype(np.float32) * 1000, 4, axis=0)
    for seed in range(20):
        picks = badge(log_probs, h, 50, np.random.default_rng(seed))
        assert sorted(picks // 4) == list(range(50))


def test_badge_on_heavy_tails_takes_few_passes() -> None:
    """A few huge gradients take all the mass at first; refused proposals lead to a new pass, not to thousands."""
    log_probs, h = predictions(4000, 4), hidden(4000, 5)
    h[:20] *= 1e4
    picks = badge(log_probs, h, 400, np.random.default_rng(0))
    assert len(set(picks.tolist())) == 400


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


@pytest.mark.parametrize("draw", [badge_picks, badge_picks_in_sequence])
def test_d2_sampling_of_a_pool_of_copies_is_a_permutation(draw) -> None:
    picks = draw(np.zeros((9, 3)), np.ones((9, 2)), 9, np.random.default_rng(0))
    assert sorted(picks) == list(range(9))


def test_cal_equals_brute_force() -> None:
    """Mean KL(neighbour ‖ candidate) over the k nearest labelled, by loops."""
    own, theirs = predictions(30, 4), predictions(12, 4, 7)
    x, y = hidden(30, 3), hidden(12, 3, 8)
    ours = cal(own, x, theirs, y, neighbours=5)
    for i in range(30):
        order = sorted(range(12), key=lambda j: ((x[i] - y[j]) ** 2).sum())[:5]
        kl = [(np.exp(theirs[j]) * (theirs[j] - own[i])).sum() for j in order]
        assert ours[i] == pytest.approx(np.mean(kl), rel=1e-9)


def test_cal_is_zero_where_neighbours_agree_and_ignores_their_order() -> None:
    same = np.tile(predictions(1, 3), (9, 1))
    x = hidden(9, 2)
    np.testing.assert_allclose(cal(same, x, same[:4], x[:4]), 0.0, atol=1e-15)
    own, theirs, y = predictions(9, 3), predictions(5, 3, 3), hidden(5, 2, 4)
    back = slice(None, None, -1)
    np.testing.assert_allclose(
        cal(own, x, theirs, y, neighbours=2), cal(own, x, theirs[back], y[back], neighbours=2), rtol=1e-12
    )


def test_cal_takes_more_neighbours_than_labels_and_impossible_classes() -> None:
    """k > L is all of them; log 0 is cut, not NaN."""
    own = np.array([[0.0, -np.inf], [-np.inf, 0.0]])
    scores = cal(own, np.zeros((2, 2)), own[:1], np.zeros((1, 2)), neighbours=10)
    assert scores.tolist() == [0.0, 50.0]


def test_nearest_neighbours_equal_sorting() -> None:
    points, others = hidden(50, 4), hidden(20, 4, 3)
    full = ((points[:, None] - others[None]) ** 2).sum(-1)
    np.testing.assert_array_equal(nearest(points, others, 6), np.argsort(full, axis=1, kind="stable")[:, :6])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("width", "total", "k"), [(1, 1, 1), (3, 40, 40), (2, 500, 10), (64, 300, 7), (5, 90, 11)])
@pytest.mark.parametrize("kind", ["plain", "grid", "far", "tiny", "huge", "outlier", "copies"])
def test_nearest_is_exact_on_hard_geometries(dtype, width: int, total: int, k: int, kind: str) -> None:
    """Differences in float64, ties to the lower position, where a float32 product would err or overflow."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, width)), rng.normal(size=(total, width))
    if kind == "grid":
        x, y = np.round(x), np.round(y)
    elif kind == "far":
        x, y = 1000.1 + 0.01 * x, 1000.1 + 0.01 * y
    elif kind in ("tiny", "huge"):
        factor = 1e-18 if kind == "tiny" else 1e17
        x, y = factor * x, factor * y
    elif kind == "outlier":
        y[total // 2] *= 1e6
    elif kind == "copies":
        y = y[np.arange(total) % 3]
    x, y = x.astype(dtype), y.astype(dtype)
    full = ((x[:, None].astype(np.float64) - y[None]) ** 2).sum(-1)
    expected = np.argsort(full, axis=1, kind="stable")[:, :k]
    found = nearest(x, y, k)
    # Sums of squares in another order may differ in the last bit: equal distances, or the same neighbours.
    assert [len(set(row)) for row in found.tolist()] == [k] * 60
    np.testing.assert_allclose(
        np.take_along_axis(full, found, axis=1), np.take_along_axis(full, expected, axis=1), rtol=1e-14
    )
    if kind in ("plain", "grid", "copies"):
        np.testing.assert_array_equal(found, expected)


def test_nearest_does_not_depend_on_the_other_points() -> None:
    """Block by block, one by one and in another order: the same neighbours, near ties included."""
    x, y = np.round(hidden(700, 3), 1).astype(np.float32), np.round(hidden(900, 3, 3), 1).astype(np.float32)
    whole = nearest(x, y, 9)
    order = np.random.default_rng(0).permutation(700)
    np.testing.assert_array_equal(nearest(x[order], y, 9), whole[order])
    for i in range(0, 700, 50):
        np.testing.assert_array_equal(nearest(x[i : i + 1], y, 9)[0], whole[i])


@pytest.mark.parametrize("c", [2, 3, 10, 70])
@pytest.mark.parametrize("lead", [0.0, 16.0, 60.0])
def test_egl_in_single_precision(c: int, lead: float) -> None:
    """2e-7 of the exact form on the same float32 numbers, in 60 digits, near certainty too; copies score alike."""
    logits = np.random.default_rng(0).normal(size=(5, c))
    logits -= logits[:, :1]
    logits[:, 1:] -= lead
    log_probs = (logits - np.log1p(np.exp(logits[:, 1:]).sum(axis=1, keepdims=True))).astype(np.float32)
    h = hidden(5, 300).astype(np.float32)
    expected = []
    with localcontext() as context:
        context.prec = 60
        for row, inputs in zip(log_probs, h, strict=True):
            p = [Decimal(float(value)).exp() for value in row]
            norm = sum(Decimal(float(value)) ** 2 for value in inputs) + 1
            whole = sum(value**2 for value in p)
            expected.append(
                float(norm.sqrt() * sum(value * (whole - value**2 + (1 - value) ** 2).sqrt() for value in p))
            )
    scores = expected_gradient_length(log_probs, h)
    np.testing.assert_allclose(scores, expected, rtol=2e-7)
    rows = np.arange(2 * (2**15 // c) + 1) % 5
    copies = expected_gradient_length(log_probs[rows], h[rows])
    assert [len(np.unique(copies[i::5])) for i in range(5)] == [1] * 5
    np.testing.assert_array_equal(copies[:5], scores)


def test_egl_with_ties_at_the_top_and_embeddings_beyond_single_precision() -> None:
    """Two best classes, renumbered, score alike; ‖h‖² that float32 cannot hold is no infinity."""
    log_probs = np.log(np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]]))
    p, h = np.array([0.4, 0.4, 0.2]), np.full((2, 3), 1e25, dtype=np.float32)
    head = sum(p[y] * np.linalg.norm(p - np.eye(3)[y]) for y in range(3))
    np.testing.assert_allclose(expected_gradient_length(log_probs, h), np.sqrt(3.0) * float(h[0, 0]) * head, rtol=1e-12)


SCORES = np.array([0.1, 0.4, 0.2, 0.3, 0.0, -1.0])


@pytest.mark.parametrize(
    ("strategy", "weights"),
    [
        (power, lambda b: np.where(SCORES > 0, np.maximum(SCORES, 1e-300) ** b, 0.0)),
        (softmax, lambda b: np.exp(b * SCORES)),
        (softrank, lambda b: np.array([4, 1, 3, 2, 5, 6.0]) ** -b),
    ],
)
@pytest.mark.parametrize("beta", [0.0, 1.0, 3.0])
def test_first_pick_frequencies(strategy, weights, beta: float) -> None:
    """n = 1: inclusion proportional to s^β, exp(β s), rank^-β (χ² over 6,000 draws)."""
    rng = np.random.default_rng(2)
    counts = np.bincount([strategy(SCORES, 1, rng, beta=beta)[0] for _ in range(6000)], minlength=6)
    expected = weights(beta) / weights(beta).sum()
    keep = expected > 0
    assert counts[~keep].sum() == 0
    assert stats.chisquare(counts[keep], expected[keep] * 6000).pvalue > 1e-4


def test_power_never_turns_a_score_of_zero_into_nan() -> None:
    """A peer's PowerBALD sorts NaN to the top; here 0 and below come last, all distinct."""
    picks = power(SCORES, 6, np.random.default_rng(0))
    assert set(picks[:4]) == {0, 1, 2, 3}
    assert sorted(picks) == list(range(6))


def test_invariances_of_stochastic_batches() -> None:
    """Power to scale, softmax to shift, softrank to any increasing map, given the same noise."""
    rng = np.random.default_rng
    scores = rng(0).random(50) + 0.1
    assert power(scores, 9, rng(1)).tolist() == power(scores * 8, 9, rng(1)).tolist()
    assert softmax(scores, 9, rng(1)).tolist() == softmax(scores + 2, 9, rng(1)).tolist()
    assert softrank(scores, 9, rng(1)).tolist() == softrank(np.exp(5 * scores), 9, rng(1)).tolist()
    top = np.argsort(-scores)[:9].tolist()
    assert softmax(scores, 9, rng(1), beta=1e9).tolist() == top
