"""Copies of evaluation samples in the pool: exact against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from al_plugin.math.near_copies import near_copies


def brute(samples: np.ndarray, others: np.ndarray, deviation: np.ndarray, radius: float) -> np.ndarray:
    scale = np.where(deviation > 0, deviation, 1.0) * np.sqrt(samples.shape[1])
    if len(others) == 0:
        return np.zeros(len(samples), dtype=bool)
    return (cdist(samples / scale, others / scale) <= radius).any(axis=1)


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_it_is_brute_force(seed, radius, width):
    rng = np.random.default_rng(seed)
    samples, others = rng.normal(size=(60, width)), rng.normal(size=(25, width))
    samples[:5] = others[:5]
    samples[5:10] = others[5:10] + rng.normal(size=(5, width)) * 0.3
    deviation = samples.std(axis=0)
    deviation[0] = 0
    found = near_copies(samples, others, deviation, radius)
    np.testing.assert_array_equal(found, brute(samples, others, deviation, radius))
    assert found[:5].all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_exact_copies_are_found_at_radius_0(dtype):
    rng = np.random.default_rng(0)
    others = rng.integers(0, 255, size=(300, 784)).astype(dtype)
    samples = rng.integers(0, 255, size=(500, 784)).astype(dtype)
    samples[[3, 77]] = others[[0, 299]]
    samples[4] = others[1]
    samples[4, 0] = 255 - samples[4, 0]
    found = near_copies(samples, others, samples.std(axis=0), 0.0)
    np.testing.assert_array_equal(np.flatnonzero(found), [3, 77])


def test_many_pairs_are_taken_in_groups(monkeypatch):
    import al_plugin.math.near_copies as module

    rng = np.random.default_rng(1)
    samples, others = rng.normal(size=(80, 3)), rng.normal(size=(70, 3))
    whole = near_copies(samples, others, np.ones(3), 0.4)
    monkeypatch.setattr(module, "_PAIRS", 50)
    np.testing.assert_array_equal(near_copies(samples, others, np.ones(3), 0.4), whole)
    assert 0 < whole.sum() < 80


@pytest.mark.parametrize("shape", [(0, 5), (7, 0)])
def test_nothing_is_near_nothing(shape):
    assert not near_copies(np.zeros((shape[0], 2)), np.zeros((shape[1], 2)), np.ones(2), 1.0).any()
