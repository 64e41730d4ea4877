"""Mean and deviation of features, one by one or in groups, and features in units of them."""

import numpy as np

from al_plugin.axes import Floats


def moments(features: np.ndarray, groups: int) -> tuple[Floats, Floats]:
    """Mean and deviation (width,) of ``features`` (N, width), float64, the same within each group.

    ``groups`` divides the width into runs of neighbours: the width itself for every feature alone, 1
    for all together, the channels of an image that lies channel after channel.
    """
    width = features.shape[1]
    if groups == width:
        wide = features.astype(np.float64)
        return wide.mean(axis=0), wide.std(axis=0)
    grouped = features.reshape(len(features), groups, -1)
    means, deviations = np.empty(groups), np.empty(groups)
    for group in range(groups):
        # One group at a time: the float64 copy of all of them may not fit.
        values = grouped[:, group].astype(np.float64)
        means[group], deviations[group] = values.mean(), values.std()
    return np.repeat(means, width // groups), np.repeat(deviations, width // groups)


def scale_of(deviation: Floats) -> Floats:
    """What to divide by (width,): the deviation, or 1 for a constant feature."""
    scale: Floats = np.where(deviation > 0, deviation, 1.0)
    return scale


def standardised(features: np.ndarray, mean: Floats, scale: Floats) -> Floats:
    """Features (N, width) less ``mean``, in units of ``scale``, float64."""
    wide: Floats = features - mean.astype(np.float64)
    wide /= scale
    return wide
