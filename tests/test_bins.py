"""Histograms of scores that hardly differ."""

import numpy as np
import pytest

from al_plugin.math.bins import bin_range
from al_plugin.rounds.score import _histogram


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("middle", [0.0, 1.0, -0.3, 1e20])
@pytest.mark.parametrize("apart", [0, 1, 7, 60])
def test_scores_a_few_digits_apart_have_a_histogram(kind: type, middle: float, apart: int) -> None:
    """numpy refuses to cut a range of a few last digits into forty."""
    values = np.full(3, middle, dtype=kind)
    for _ in range(apart):
        values[1] = np.nextafter(values[1], kind(np.inf))
    assert sum(_histogram(values)["samples"]) == 3


def test_an_ordinary_range_is_that_of_the_values() -> None:
    values = np.random.default_rng(0).normal(size=100)
    assert bin_range(values, 40) == (values.min(), values.max())
    by_range = np.histogram(values, bins=40, range=bin_range(values, 40))
    for ours, numpys in zip(by_range, np.histogram(values, bins=40), strict=True):
        assert np.array_equal(ours, numpys)
