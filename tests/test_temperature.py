"""Temperature scaling: scipy finds the same temperature, and no prediction changes its class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from al_plugin.math.temperature import HIGHEST, LOWEST, best_temperature, tempered


def log_softmax(z):
    z = z - z.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def nll(log_probs, labels, temperature):
    return -log_softmax(log_probs.astype(np.float64) / temperature)[np.arange(len(labels)), labels].mean()


def drawn(seed, *, sharp, n=200, classes=5):
    """Labels drawn from softmax(z), log-probabilities of softmax(sharp z)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, classes)) * 2
    labels = (log_softmax(z) + rng.gumbel(size=z.shape)).argmax(axis=1)
    return log_softmax(sharp * z).astype(np.float32), labels


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sharp", [0.3, 1.0, 4.0])
def test_scipy_finds_the_same_temperature(seed, sharp):
    log_probs, labels = drawn(seed, sharp=sharp)
    found = best_temperature(log_probs, labels)
    bounds = (np.log(LOWEST), np.log(HIGHEST))
    oracle = minimize_scalar(
        lambda t: nll(log_probs, labels, np.exp(t)), bounds=bounds, method="bounded", options={"xatol": 1e-10}
    )
    assert found == pytest.approx(np.exp(oracle.x), rel=1e-5)
    assert nll(log_probs, labels, found) <= oracle.fun + 1e-12


def test_the_temperature_that_sharpened_is_found():
    """Logits made four times too sharp are divided by about four."""
    log_probs, labels = drawn(0, sharp=4.0, n=20_000)
    assert best_temperature(log_probs, labels) == pytest.approx(4.0, rel=0.05)


def test_two_classes_closed_form():
    """n right and m wrong at one confidence p: p' = n / (n + m), so T = logit p / logit p'."""
    p, right, wrong = 0.99, 8, 2
    log_probs = np.log(np.tile([p, 1 - p], (right + wrong, 1)))
    labels = np.repeat([0, 1], [right, wrong])
    expected = np.log(p / (1 - p)) / np.log(right / wrong)
    assert best_temperature(log_probs, labels) == pytest.approx(expected, rel=1e-9)


def test_edges():
    """All right: none is best, 1. Right by a hair once, wrong never enough: the lowest. Worse than chance: the highest."""
    log_probs = np.log(np.array([[0.7, 0.3], [0.4, 0.6]]))
    assert best_temperature(log_probs, np.array([0, 1])) == 1.0
    assert best_temperature(log_probs, np.array([1, 0])) == HIGHEST
    many = np.log(np.vstack([np.tile([0.525, 0.475], (1000, 1)), [[0.5001, 0.4999]]]))
    assert best_temperature(many, np.array([0] * 1000 + [1])) == LOWEST


@given(st.integers(0, 10_000), st.floats(0.05, 20.0))
def test_no_argmax_changes(seed, temperature):
    """Also where two classes are one float32 apart, and probabilities sum to 1."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(60, 1)).astype(np.float32) * rng.choice([1e-3, 1.0, 30.0])
    steps = rng.integers(-2, 3, size=(60, 4))
    close = base + steps * np.spacing(np.abs(base))
    log_probs = log_softmax(np.vstack([close, rng.normal(size=(60, 4)) * 5]).astype(np.float64)).astype(np.float32)
    before = log_probs.copy()
    found = tempered(log_probs, temperature)
    assert np.array_equal(found.argmax(axis=1), log_probs.argmax(axis=1))
    assert found.dtype == np.float32
    assert np.array_equal(log_probs, before)
    np.testing.assert_allclose(np.exp(found.astype(np.float64)).sum(axis=1), 1.0, atol=1e-5)


def test_near_ties_need_the_guard():
    """Without it, T = 20 makes two float32 neighbours one number, and the first class wins."""
    low = np.float32(-0.7)
    log_probs = np.array([[low, np.nextafter(low, np.float32(0)), -7.0]], dtype=np.float32)
    plain = log_softmax(log_probs.astype(np.float64) / 20).astype(np.float32)
    assert plain.argmax() == 0
    assert tempered(log_probs, 20.0).argmax() == 1
