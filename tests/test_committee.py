"""Committee scores: identities, ranges, and the posterior that feeds them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from al_plugin.errors import StrategyError
from al_plugin.math import committee
from al_plugin.math.information import entropy
from al_plugin.models.mlp import Mlp
from al_plugin.models.posterior import dropout_heads, mc_log_probs
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


def fitted() -> tuple[dict, dict, Mlp]:
    torch.manual_seed(0)
    model = Mlp(6, 4, hidden=16, dropout=0.5)
    card = {"network": {"kind": "mlp", "width": 6, "classes": 4, "hidden": 16, "dropout": 0.5}}
    return card, {name: tensor.numpy() for name, tensor in model.state_dict().items()}, model.eval()


def masks_of(heads, weights):
    """Masks (T, D) that the heads carry: the ratio to the weights they were folded into."""
    return (heads.weight / weights["head.weight"])[:, 0]


def test_passes_equal_the_network_with_that_mask() -> None:
    """Folding the mask into the head gives the logits of masking the hidden layer."""
    card, weights, model = fitted()
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    heads = dropout_heads(card, weights, 7, np.random.default_rng(2))
    masks = masks_of(heads, weights)
    assert set(np.unique(masks)) == {0.0, 2.0}
    with torch.inference_mode():
        h = model.features(x)
        ours = mc_log_probs(h.numpy(), heads)
        for t in range(7):
            logits = model.head(h * torch.from_numpy(masks[t]))
            np.testing.assert_allclose(ours[t], torch.log_softmax(logits, 1).numpy(), atol=1e-5)


def test_masks_are_the_same_for_every_sample() -> None:
    """A copy of a sample gets the copy of its prediction in every pass, wherever it stands."""
    card, weights, _ = fitted()
    h = np.tile(np.random.default_rng(0).random((1, 16), dtype=np.float32), (9, 1))
    passes = mc_log_probs(h, dropout_heads(card, weights, 5, np.random.default_rng(0)))
    assert (passes == passes[:, :1]).all()
    assert len({tuple(one[0]) for one in passes}) > 1


def test_masks_average_to_one() -> None:
    """E[mask] = 1, so that a pass is right on average before the softmax."""
    card, weights, _ = fitted()
    masks = masks_of(dropout_heads(card, weights, 4000, np.random.default_rng(3)), weights)
    np.testing.assert_allclose(masks.mean(axis=0), 1.0, atol=0.08)


def test_a_network_without_dropout_is_refused() -> None:
    card, weights, _ = fitted()
    card["network"]["dropout"] = 0.0
    with pytest.raises(StrategyError, match="trained with dropout 0"):
        dropout_heads(card, weights, 5, np.random.default_rng(0))
