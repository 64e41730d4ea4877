"""Mean and deviation of features, one by one or in groups, and features in units of them."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from al_plugin.axes import Floats

_BLOCK = 2**24


def moments(features: np.ndarray, groups: int) -> tuple[Floats, Floats]:
    """Mean and deviation (width,) of ``features`` (N, width), float64, the same within each group.

    ``groups`` divides the width into runs of neighbours: the width itself for every feature alone, 1
    for all together, the channels of an image that lies channel after channel.
    """
    width, count = features.shape[1], len(features) * (features.shape[1] // groups)

    def sums(values: Callable[[slice], Floats]) -> Floats:
        """Of each group over all rows."""
        total = np.zeros(groups)
        for rows in _blocks(len(features), width):
            block = values(rows)
            # A group in one piece, so that it is summed as a whole.
            parts = (np.ascontiguousarray(block[:, group]).sum() for group in range(groups))
            total += block[:, :, 0].sum(axis=0) if groups == width else np.fromiter(parts, np.float64, groups)
        return total

    def grouped(rows: slice) -> Floats:
        wide: Floats = features[rows].astype(np.float64)
        return wide.reshape(len(wide), groups, -1)

    means = sums(grouped) / count
    deviations = np.sqrt(sums(lambda rows: (grouped(rows) - means[:, np.newaxis]) ** 2) / count)
    return np.repeat(means, width // groups), np.repeat(deviations, width // groups)


def _blocks(rows: int, width: int) -> Iterator[slice]:
    """Rows of a few million numbers: float64 copies of them all may not fit."""
    step = max(1, _BLOCK // width)
    yield from (slice(start, start + step) for start in range(0, rows, step))


def scale_of(deviation: Floats) -> Floats:
    """What to divide by (width,): the deviation, or 1 for a constant feature."""
    scale: Floats = np.where(deviation > 0, deviation, 1.0)
    return scale


def standardised(
    features: np.ndarray, mean: Floats, scale: Floats, dtype: type[np.floating[Any]] = np.float64
) -> Floats:
    """Features (N, width) less ``mean``, in units of ``scale``, computed in float64 and kept as ``dtype``."""
    out: Floats = np.empty(features.shape, dtype=dtype)
    for rows in _blocks(*features.shape):
        wide = features[rows] - mean.astype(np.float64)
        wide /= scale
        out[rows] = wide
    return out
