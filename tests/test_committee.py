"""Committee scores: identities, ranges, and the posterior that feeds them."""

import tracemalloc
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_plugin.math import committee
from al_plugin.math.information import entropy
from al_plugin.strategies.score import committee as scores


def samples(t: int, n: int, c: int, seed: int, sharpness: float = 2.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(t, n, c)) * sharpness
    return logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))


@given(st.integers(0, 5000), st.integers(1, 9), st.integers(2, 6))
def test_bald_is_total_minus_expected_entropy(seed: int, t: int, c: int) -> None:
    """Both forms agree, and the committee's KL is the same number."""
    p = samples(t, 12, c, seed)
    difference = entropy(committee.mean_log_probs(p)) - np.mean([entropy(one) for one in p], axis=0)
    np.testing.assert_allclose(scores.bald(p), difference, atol=1e-12)
    assert scores.bald(p).tolist() == scores.qbc_kl(p).tolist()
    assert (scores.bald(p) <= np.log(min(t, c)) + 1e-12).all()
    assert (scores.variation_ratio(p) <= 1 - 1 / min(t, c) + 1e-12).all()
    assert (scores.mean_std(p) <= 0.5).all()


def test_members_that_agree_have_nothing_to_say() -> None:
    p = np.tile(samples(1, 10, 4, 0), (5, 1, 1))
    np.testing.assert_allclose(scores.bald(p), 0, atol=1e-15)
    np.testing.assert_allclose(scores.mean_std(p), 0, atol=1e-15)
    assert scores.variation_ratio(p).tolist() == [0.0] * 10


def test_zero_probabilities_give_no_nan() -> None:
    """A peer's BALD is NaN here; two sure members of different opinion are worth log 2."""
    p = np.full((2, 1, 3), -np.inf)
    p[0, 0, 0] = p[1, 0, 2] = 0.0
    assert scores.bald(p)[0] == pytest.approx(np.log(2))
    assert scores.consensus_entropy(p)[0] == pytest.approx(np.log(2))
    assert scores.vote_entropy(p)[0] == pytest.approx(np.log(2))


def test_small_disagreement_keeps_its_digits() -> None:
    """Where members nearly agree the difference of entropies is noise; the mean KL is not."""
    base = np.log(np.array([0.5, 0.3, 0.2]))
    shift = 1e-7 * np.array([1, -1, 0])
    p = np.stack([base + shift, base - shift])[:, None, :]
    p -= np.log(np.exp(p).sum(axis=2, keepdims=True))
    probs = np.exp(base)
    variance = (probs * (shift - (probs * shift).sum()) ** 2).sum()
    assert scores.bald(p)[0] == pytest.approx(variance / 2, rel=1e-4)


COMMITTEE = [
    scores.bald,
    scores.mean_std,
    scores.consensus_entropy,
    scores.vote_entropy,
    scores.variation_ratio,
]


def decimal_scores(p: np.ndarray) -> tuple[float, float, float]:
    """BALD, mean deviation and entropy of the mean of one sample's log-probabilities (T, C), in 60 digits."""
    with localcontext() as context:
        context.prec = 60
        logs = [[Decimal(float(value)) for value in row] for row in p]
        probs = [[value.exp() for value in row] for row in logs]
        t, c = len(logs), len(logs[0])
        mean = [sum(row[k] for row in probs) / t for k in range(c)]
        conditional = sum(probs[i][k] * logs[i][k] for i in range(t) for k in range(c)) / t
        total = -sum(value * value.ln() for value in mean)
        spread = [(sum((row[k] - mean[k]) ** 2 for row in probs) / t).sqrt() for k in range(c)]
        return float(total + conditional), float(sum(spread) / c), float(total)


def single(t: int, n: int, c: int, *, lead: float, spread: float, seed: int = 0) -> np.ndarray:
    """Float32 samples, good relatively, whose first class leads by ``lead`` nats and that differ by ``spread``."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(1, n, c)) + spread * rng.normal(size=(t, n, c))
    logits -= logits[..., :1]
    logits[..., 1:] -= lead
    return (logits - np.log1p(np.exp(logits[..., 1:]).sum(axis=2, keepdims=True))).astype(np.float32)


@pytest.mark.parametrize("c", [2, 3, 10])
@pytest.mark.parametrize("lead", [0.0, 3.0, 16.0, 46.0, 80.0, 100.0])
@pytest.mark.parametrize("spread", [0.3, 2.0, 20.0])
def test_single_precision_is_good_relatively(c: int, lead: float, spread: float) -> None:
    """Float32: a few 1e-7 of the exact numbers for the same input, for near-certain predictions as well."""
    p = single(20, 4, c, lead=lead, spread=spread)
    bald, deviation, total = zip(*(decimal_scores(p[:, i]) for i in range(4)), strict=True)
    np.testing.assert_allclose(scores.bald(p), bald, rtol=4e-6, atol=0)
    np.testing.assert_allclose(scores.mean_std(p), deviation, rtol=2e-6, atol=0)
    np.testing.assert_allclose(scores.consensus_entropy(p), total, rtol=1e-6, atol=0)


def test_double_precision_is_good_in_the_tails() -> None:
    """Float64 near certainty, against decimals: no difference of numbers near 1 is left in the formulas."""
    p = single(20, 6, 3, lead=40.0, spread=1.0).astype(np.float64)
    bald, deviation, total = zip(*(decimal_scores(p[:, i]) for i in range(6)), strict=True)
    np.testing.assert_allclose(scores.bald(p), bald, rtol=1e-12)
    np.testing.assert_allclose(scores.mean_std(p), deviation, rtol=1e-12)
    np.testing.assert_allclose(scores.consensus_entropy(p), total, rtol=1e-12)


def test_a_small_disagreement_in_single_precision() -> None:
    """Where members differ by s, about 1e-7 / s of BALD is lost: what one rounding of log p is worth."""
    for spread in (1e-1, 1e-2, 1e-3):
        p = single(20, 6, 4, lead=0.0, spread=spread)
        expected = [decimal_scores(p[:, i])[0] for i in range(6)]
        np.testing.assert_allclose(scores.bald(p), expected, rtol=1e-6 / spread)


def test_agreement_is_exact() -> None:
    """Equal members: exactly 0, in single precision and for any number of them, not -2e-7 as a peer's."""
    for t in (1, 2, 3, 7, 20, 31):
        p = np.tile(single(1, 50, 5, lead=1.0, spread=1.0), (t, 1, 1))
        assert scores.bald(p).tolist() == [0.0] * 50
        assert scores.mean_std(p).tolist() == [0.0] * 50


@pytest.mark.parametrize("function", COMMITTEE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("c", [2, 3, 10, 65])
def test_copies_score_alike_wherever_they_stand(function, dtype: type, c: int) -> None:
    """In the middle, at the end and in a last block of one sample: the same bytes, ties of votes included."""
    kinds = single(9, 3, c, lead=0.0, spread=1.0).astype(dtype)
    kinds[::2, 1, 1] = kinds[::2, 1, 0]
    kinds[:4, 2] = -np.log(c)
    p = kinds[:, np.arange(2 * (2**18 // (9 * c)) + 1) % 3]
    values = function(p)
    for kind in range(3):
        assert len(np.unique(values[kind::3])) == 1
        assert values[kind] == function(kinds[:, kind : kind + 1])[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("c", [2, 3, 10, 70])
def test_votes_are_counted_with_shared_ties(dtype: type, c: int) -> None:
    """Against fractions: each member has one vote, shared by what ties at its top; more members than a byte."""
    p = np.random.default_rng(4).integers(-3, 0, size=(300, 5, c)).astype(dtype)
    expected = np.zeros((5, c))
    for i in range(5):
        for k in range(c):
            share = sum(
                Fraction(int(p[t, i, k] == p[t, i].max()), int((p[t, i] == p[t, i].max()).sum())) for t in range(300)
            )
            expected[i, k] = float(share / 300)
    np.testing.assert_allclose(committee.vote_shares(p), expected, rtol=1e-14)
    np.testing.assert_allclose(scores.variation_ratio(p), 1 - expected.max(axis=1), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_hot_members(dtype: type) -> None:
    """BALD is the entropy of the votes, and log 0 of every member is no NaN."""
    won = np.random.default_rng(5).integers(3, size=(8, 40))
    p = np.where(np.arange(4) == won[..., None], 0.0, -np.inf).astype(dtype)
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        np.testing.assert_allclose(scores.bald(p), scores.vote_entropy(p), rtol=5e-7, atol=1e-15)
        np.testing.assert_allclose(scores.consensus_entropy(p), scores.vote_entropy(p), rtol=5e-7, atol=1e-15)
        shares = committee.vote_shares(p)
        np.testing.assert_allclose(scores.mean_std(p), np.sqrt(shares * (1 - shares)).mean(axis=1), rtol=5e-7)
    assert np.isneginf(committee.mean_log_probs(p)[:, 3]).all()


def test_mixed_impossible_and_improbable_classes() -> None:
    """log 0 in some members, e^-200 in others: against decimals with e^-1e6 for 0."""
    p = single(6, 5, 4, lead=0.0, spread=2.0)
    p[::2, :, 1] = -np.inf
    p[1::2, :, 2] = -200.0
    cut = np.maximum(p, np.float32(-1e5))
    bald, deviation, total = zip(*(decimal_scores(cut[:, i]) for i in range(5)), strict=True)
    np.testing.assert_allclose(scores.bald(p), bald, rtol=2e-6)
    np.testing.assert_allclose(scores.mean_std(p), deviation, rtol=2e-6)
    np.testing.assert_allclose(scores.consensus_entropy(p), total, rtol=2e-6)


@pytest.mark.parametrize("function", COMMITTEE)
@pytest.mark.parametrize("c", [3, 10, 65])
def test_layout_does_not_matter(function, c: int) -> None:
    """Classes in any order in memory."""
    p = single(9, 40, c, lead=0.0, spread=1.0)
    np.testing.assert_array_equal(function(np.asfortranarray(p)), function(p))
    np.testing.assert_array_equal(function(p[..., ::-1].copy()[..., ::-1]), function(p))


def test_memory_stays_in_blocks() -> None:
    """A stack of 20 x 100,000 x 10 numbers (76 MiB) takes a few MiB beside the result."""
    p = np.broadcast_to(single(20, 1, 10, lead=0.0, spread=1.0), (20, 100_000, 10))
    for function in COMMITTEE:
        tracemalloc.start()
        function(p)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 * 2**20
