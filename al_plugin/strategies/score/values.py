"""Doubt about numbers."""

import numpy as np

from al_plugin.axes import FloatsN, FloatsTN
from al_plugin.strategies.registry import strategy


@strategy(
    "predictive_variance",
    reference="RayChaudhuri & Hamey (1995), query by committee for regression; Burbidge, Rowland, King (2007)",
    cost="O(T N), in blocks of the pool",
    use="Regression with an ensemble or dropout; noise that differs from sample to sample is not seen.",
)
def predictive_variance(mc_values: FloatsTN) -> FloatsN:
    """High where posterior samples predict different numbers.

    s = (1/T) Σ_t (f_t - f̄)² in squared units of the answers. Range [0, ∞): 0 iff all samples agree.
    """
    found: FloatsN = np.var(mc_values.astype(np.float64), axis=0)
    return found
