"""SWAG: a Gaussian over weights from the weights that one training passes through.

Source: Maddox, Garipov, Izmailov, Vetrov, Wilson (2019), a simple baseline for Bayesian uncertainty.
"""

from collections.abc import Mapping

import numpy as np

from al_plugin.axes import Floats


class WeightMoments:
    """Mean, variance and last deviations of weight vectors (P,), one vector at a time, O((K + 2) P) state.

    ``mean`` and ``squares`` (sum of squared deviations from the final mean) are Welford's, float64: a
    mean square less a squared mean cancels. ``deviations`` (k, P) are those of the last k <= ``rank``
    vectors, each from the mean up to and with itself; the first vector has none.
    """

    def __init__(self, width: int, rank: int) -> None:
        self.count, self.rank = 0, rank
        self.mean: Floats = np.zeros(width)
        self.squares: Floats = np.zeros(width)
        self.deviations: Floats = np.zeros((0, width), dtype=np.float32)

    def collect(self, weights: Floats) -> None:
        """Take one vector in."""
        self.count += 1
        before = weights - self.mean
        self.mean += before / self.count
        after = weights - self.mean
        self.squares += before * after
        if self.count > 1 and self.rank:
            kept = self.deviations[max(0, len(self.deviations) - self.rank + 1) :]
            self.deviations = np.concatenate([kept, after[None].astype(np.float32)])

    def variance(self) -> Floats:
        """Mean squared deviation from the mean (P,), >= 0; 0 for a single vector."""
        found: Floats = self.squares / max(self.count, 1)
        return found


def weight_draw(
    means: Mapping[str, Floats],
    variances: Mapping[str, Floats],
    deviations: Mapping[str, Floats],
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """One draw of all weights from N(mean, ½ diag(variance) + DᵀD / (2 (K - 1))), float32 by name.

    theta = mean + √(variance / 2) z₁ + Dᵀ z₂ / √(2 (K - 1)), ``deviations`` D (K, ...) by name; z₂ (K,)
    is one for all names. Fewer than two deviations have no covariance: N(mean, diag(variance)),
    SWAG-Diagonal. Names without a variance stay at their mean.
    """
    names = sorted(variances)
    rank = min((len(deviations[name]) for name in names), default=0)
    drawn = dict(means)
    share = 0.5 if rank > 1 else 1.0
    common = rng.standard_normal(rank) / np.sqrt(2.0 * (rank - 1)) if rank > 1 else None
    for name in names:
        spread = np.sqrt(share * variances[name].astype(np.float64))
        step = spread * rng.standard_normal(means[name].shape)
        if common is not None:
            step += np.tensordot(common, deviations[name].astype(np.float64), axes=1)
        drawn[name] = (means[name] + step).astype(np.float32)
    return drawn
