"""Posteriors as heads: dropout against the masked network, Laplace against brute-force inverses."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from al_plugin.errors import StrategyError
from al_plugin.math.laplace import laplace_draws, softmax_precision
from al_plugin.models.body import Network, perceptron
from al_plugin.models.posterior import Heads, dropout_heads, laplace_heads, mc_log_probs
from al_plugin.models.task import BATCH


def fitted() -> tuple[dict, dict, Network]:
    torch.manual_seed(0)
    model = perceptron(6, 4, hidden=16, dropout=0.5)
    card = {"network": {"width": 6, "classes": 4, "hidden": 16, "dropout": 0.5}}
    return card, {name: tensor.numpy() for name, tensor in model.state_dict().items()}, model.eval()


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- heads ---------------------------------------------------------------------------------------


def test_heads_are_applied_as_linear_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """log softmax(h Wᵀ + b) of every head, float32, also where the heads are taken in groups."""
    h = rng(0).normal(size=(30, 5)).astype(np.float32)
    heads = Heads(rng(1).normal(size=(7, 3, 5)).astype(np.float32), rng(2).normal(size=(7, 3)).astype(np.float32))
    logits = np.einsum("nd,tcd->tnc", h.astype(np.float64), heads.weight.astype(np.float64)) + heads.bias[:, None]
    for columns in (4096, 9, 1):
        monkeypatch.setattr("al_plugin.models.posterior._COLUMNS", columns)
        found = mc_log_probs(h, heads)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, log_softmax(logits, axis=2), atol=2e-6)


def test_great_logits_overflow_nowhere() -> None:
    heads = Heads(np.array([[[1e4], [-1e4]]], dtype=np.float32), np.zeros((1, 2), dtype=np.float32))
    found = mc_log_probs(np.array([[1.0], [-1.0]], dtype=np.float32), heads)
    assert found.tolist() == [[[0.0, -20000.0], [-20000.0, 0.0]]]


def test_blocks_on_the_batch_grid_give_the_same_bits() -> None:
    """The round takes the pool in blocks that are multiples of the grid."""
    card, weights, _ = fitted()
    h = rng(0).random((3 * BATCH + 17, 16), dtype=np.float32)
    heads = dropout_heads(card, weights, 5, rng(1))
    pieces = [mc_log_probs(h[start : start + 2 * BATCH], heads) for start in range(0, len(h), 2 * BATCH)]
    assert np.array_equal(np.concatenate(pieces, axis=1), mc_log_probs(h, heads))


def test_a_head_is_the_same_for_every_sample() -> None:
    """A copy of a sample gets the copy of its prediction in every pass, wherever it stands."""
    card, weights, _ = fitted()
    h = np.tile(rng(0).random((1, 16), dtype=np.float32), (9, 1))
    passes = mc_log_probs(h, dropout_heads(card, weights, 5, rng()))
    assert (passes == passes[:, :1]).all()
    assert len({tuple(one[0]) for one in passes}) > 1


# --- dropout -------------------------------------------------------------------------------------


def test_dropout_heads_equal_the_network_with_that_mask() -> None:
    """Folding the mask into the head gives the logits of masking the hidden layer."""
    card, weights, model = fitted()
    x = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    heads = dropout_heads(card, weights, 7, rng(2))
    masks = heads.weight[:, 0] / weights["head.weight"][0]
    assert set(np.unique(masks.round(5))) == {0.0, 2.0}
    with torch.inference_mode():
        h = model.features(x)
        ours = mc_log_probs(h.numpy(), heads)
        for t in range(7):
            logits = model.head(h * torch.from_numpy(masks[t]))
            np.testing.assert_allclose(ours[t], torch.log_softmax(logits, 1).numpy(), atol=1e-5)


def test_dropout_heads_average_to_the_head() -> None:
    """E[mask] = 1, so that a pass is right on average before the softmax."""
    card, weights, _ = fitted()
    heads = dropout_heads(card, weights, 4000, rng(3))
    np.testing.assert_allclose(heads.weight.mean(axis=0), weights["head.weight"], atol=0.03)
    assert (heads.bias == weights["head.bias"]).all()


def test_a_network_without_dropout_is_refused() -> None:
    card, weights, _ = fitted()
    card["network"]["dropout"] = 0.0
    with pytest.raises(StrategyError, match="trained with dropout 0"):
        dropout_heads(card, weights, 5, rng())


# --- Laplace -------------------------------------------------------------------------------------


def problem(classes: int = 3, width: int = 2, samples: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mode (C, D) and inputs (L, D), the last input being one."""
    draws = rng(seed)
    inputs = np.concatenate([draws.normal(size=(samples, width)), np.ones((samples, 1))], axis=1)
    return draws.normal(size=(classes, width + 1)), inputs


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(log_softmax(logits, axis=1))


def loop_precision(mode: np.ndarray, inputs: np.ndarray, precision: float) -> np.ndarray:
    """Sample by sample, Kronecker product by Kronecker product."""
    total = precision * np.eye(mode.size)
    for x, p in zip(inputs, softmax(inputs @ mode.T), strict=True):
        total += np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x))
    return total


def test_precision_is_the_sum_of_kronecker_products() -> None:
    mode, inputs = problem()
    found = softmax_precision(softmax(inputs @ mode.T), inputs, 0.7)
    np.testing.assert_allclose(found, loop_precision(mode, inputs, 0.7), rtol=1e-12, atol=1e-13)


def test_precision_is_the_hessian_of_the_loss() -> None:
    """For a softmax layer Gauss-Newton is exact: autograd's Hessian of cross-entropy plus prior."""
    mode, inputs = problem()
    x, labels = torch.from_numpy(inputs), torch.arange(12) % 3

    def loss(flat: torch.Tensor) -> torch.Tensor:
        logits = x @ flat.reshape(3, 3).T
        return torch.nn.functional.cross_entropy(logits, labels, reduction="sum") + 0.35 * (flat**2).sum()

    hessian = torch.autograd.functional.hessian(loss, torch.from_numpy(mode.ravel()))
    found = softmax_precision(softmax(inputs @ mode.T), inputs, 0.7)
    np.testing.assert_allclose(found, hessian.numpy(), atol=1e-12)


def moments_agree(draws: np.ndarray, covariance: np.ndarray) -> None:
    """Mean 0 and this covariance, entry by entry within five standard errors."""
    flat = draws.reshape(len(draws), -1)
    variances = np.diag(covariance)
    assert (np.abs(flat.mean(axis=0)) < 5 * np.sqrt(variances / len(flat))).all()
    errors = np.sqrt((np.outer(variances, variances) + covariance**2) / len(flat))
    assert (np.abs(flat.T @ flat / len(flat) - covariance) < 5 * errors).all()


@pytest.mark.parametrize("precision", [0.2, 1.0, 30.0])
def test_draws_have_the_covariance_of_the_inverse(precision: float) -> None:
    mode, inputs = problem()
    draws = laplace_draws(mode, inputs, 40_000, rng(1), precision=precision)
    moments_agree(draws, np.linalg.inv(loop_precision(mode, inputs, precision)))


def test_draws_are_the_whitened_noise() -> None:
    """Lᵀ x = z to the last digits: the Mahalanobis length of a draw is that of its noise."""
    mode, inputs = problem(4, 5, 30)
    draws = laplace_draws(mode, inputs, 6, rng(2), precision=0.5).reshape(6, -1)
    noise = rng(2).standard_normal((6, mode.size))
    lengths = np.einsum("ti,ij,tj->t", draws, loop_precision(mode, inputs, 0.5), draws)
    np.testing.assert_allclose(lengths, (noise**2).sum(axis=1), rtol=1e-10)


def test_without_labels_the_draws_come_from_the_prior() -> None:
    mode, none = problem()[0], np.empty((0, 3))
    for exact in (5000, 0):
        draws = laplace_draws(mode, none, 50, rng(4), precision=4.0, exact=exact)
        noise = rng(4).standard_normal((50, 3, 3))
        np.testing.assert_allclose(np.sort(np.abs(draws).ravel()), np.sort(np.abs(noise / 2).ravel()), rtol=1e-12)


def test_kronecker_factors_are_exact_where_all_predictions_are_one() -> None:
    """Mode 0: every prediction is uniform, and the sum of products is the product of sums."""
    _, inputs = problem()
    mode = np.zeros((3, 3))
    draws = laplace_draws(mode, inputs, 40_000, rng(5), precision=0.5, exact=0)
    moments_agree(draws, np.linalg.inv(loop_precision(mode, inputs, 0.5)))


def test_kronecker_draws_have_the_factored_covariance() -> None:
    mode, inputs = problem()
    probs = softmax(inputs @ mode.T)
    classes = sum(np.diag(p) - np.outer(p, p) for p in probs) / len(probs)
    factored = np.kron(classes, inputs.T @ inputs) + 0.5 * np.eye(mode.size)
    moments_agree(laplace_draws(mode, inputs, 40_000, rng(6), precision=0.5, exact=0), np.linalg.inv(factored))


def test_large_heads_are_drawn_without_the_full_matrix() -> None:
    """100 classes of 300 inputs: 30 100 weights, whose full matrix would take 7 GB."""
    weights = {"head.weight": np.zeros((100, 300), dtype=np.float32), "head.bias": np.zeros(100, dtype=np.float32)}
    heads = laplace_heads(weights, rng(0).normal(size=(50, 300)), 3, rng(1))
    assert heads.weight.shape == (3, 100, 300)
    assert np.isfinite(heads.weight).all()


def test_laplace_heads_are_the_mode_plus_draws() -> None:
    """The bias is the weight of a constant input; float32 comes last."""
    _, weights, _ = fitted()
    labeled = rng(0).random((10, 16), dtype=np.float32)
    heads = laplace_heads(weights, labeled, 4, rng(1), precision=2.0)
    mode = np.concatenate([weights["head.weight"], weights["head.bias"][:, None]], axis=1).astype(np.float64)
    inputs = np.concatenate([labeled.astype(np.float64), np.ones((10, 1))], axis=1)
    wanted = mode + laplace_draws(mode, inputs, 4, rng(1), precision=2.0)
    assert heads.weight.dtype == heads.bias.dtype == np.float32
    np.testing.assert_allclose(heads.weight, wanted[..., :-1], rtol=1e-6)
    np.testing.assert_allclose(heads.bias, wanted[..., -1], rtol=1e-6)


def test_more_labels_make_the_posterior_narrower_where_they_are() -> None:
    """Predictions vary less at labelled inputs than far from them, and less with ten times the labels."""
    _, weights, _ = fitted()
    near = rng(0).normal(size=(40, 16)).astype(np.float32) * np.float32(0.5)
    far = near * 20
    few, many = (laplace_heads(weights, np.repeat(near, k, axis=0), 300, rng(1)) for k in (1, 10))

    def spread(h: np.ndarray, heads: Heads) -> float:
        return float(np.einsum("nd,tcd->tnc", h, heads.weight).std(axis=0).mean())

    assert spread(near, many) < spread(near, few) < spread(far, few) / 5


def test_same_seed_same_heads() -> None:
    _, weights, _ = fitted()
    labeled = rng(0).random((10, 16), dtype=np.float32)
    one, other = (laplace_heads(weights, labeled, 4, rng(1)) for _ in range(2))
    assert one.weight.tobytes() == other.weight.tobytes()
    assert one.bias.tobytes() != laplace_heads(weights, labeled, 4, rng(2)).bias.tobytes()
