"""Mean and deviation by blocks, against numpy on everything at once."""

import numpy as np
import pytest

from al_plugin.math.moments import moments, scale_of, standardised


@pytest.mark.parametrize("groups", [1, 3, 12])
@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_moments_are_those_of_a_float64_copy(groups: int, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one block to the bit, in many up to rounding; far from 0, where a difference of squares would fail."""
    features = (100 + 20 * np.random.default_rng(0).random((50, 12))).astype(kind)
    parts = features.reshape(50, groups, -1).astype(np.float64)
    mean, deviation = (np.repeat(values, 12 // groups) for values in (parts.mean(axis=(0, 2)), parts.std(axis=(0, 2))))
    found = moments(features, groups)
    np.testing.assert_allclose(found, (mean, deviation), rtol=1e-14)
    if groups == 12:
        wide = features.astype(np.float64)
        assert np.array_equal(found, (wide.mean(axis=0), wide.std(axis=0)))
    monkeypatch.setattr("al_plugin.math.moments._BLOCK", 100)
    np.testing.assert_allclose(moments(features, groups), (mean, deviation), rtol=1e-13)


def test_standardised_is_computed_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(0).normal(1e4, 1, size=(40, 3)).astype(np.float32)
    mean, deviation = moments(features, 3)
    wide = (features.astype(np.float64) - mean) / scale_of(deviation)
    monkeypatch.setattr("al_plugin.math.moments._BLOCK", 21)
    assert np.array_equal(standardised(features, mean, scale_of(deviation)), wide)
    assert np.array_equal(standardised(features, mean, scale_of(deviation), np.float32), wide.astype(np.float32))


def test_a_constant_feature_is_divided_by_one() -> None:
    features = np.full((5, 2), 3.0)
    mean, deviation = moments(features, 2)
    assert standardised(features, mean, scale_of(deviation)).tolist() == [[0.0, 0.0]] * 5
