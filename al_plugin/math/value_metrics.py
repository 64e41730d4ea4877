"""How far predicted numbers are from the true ones."""

import numpy as np

from al_plugin.axes import FloatsN


def rmse(truth: FloatsN, found: FloatsN) -> float:
    """√ mean (y - f)², range [0, ∞)."""
    return float(np.sqrt(np.mean((truth - found) ** 2)))


def mae(truth: FloatsN, found: FloatsN) -> float:
    """mean |y - f|, range [0, ∞)."""
    return float(np.mean(np.abs(truth - found)))


def r2(truth: FloatsN, found: FloatsN) -> float:
    """1 - Σ (y - f)² / Σ (y - ȳ)², range (-∞, 1]; of equal numbers 1 where all are met, else 0."""
    left = float(np.sum((truth - found) ** 2))
    whole = float(np.sum((truth - truth.mean()) ** 2))
    if whole == 0:
        return float(left == 0)
    return 1.0 - left / whole
