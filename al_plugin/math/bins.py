"""Bins of equal width."""

import numpy as np

from al_plugin.axes import FloatsN


def bin_range(values: FloatsN, bins: int) -> tuple[float, float]:
    """From where to where ``bins`` bins of equal width hold finite ``values`` (N,); 0 to 1 without any.

    Their own range; half a unit or more to either side where that is too narrow to be cut, as with values that
    differ in their last digit alone.
    """
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    step = float(np.spacing(np.abs(values).max()))
    if high - low > 2 * bins * step:
        return low, high
    wider = max(0.5, 2 * bins * step)
    return low - wider, high + wider
