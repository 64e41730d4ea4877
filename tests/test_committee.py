"""Committee scores: identities and ranges."""

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
    difference = entropy(committee.mean_log_probs(p)) - committee.mean_entropy(p)
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
