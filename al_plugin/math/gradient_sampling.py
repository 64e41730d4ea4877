"""k-means++ seeding over the last layer's gradients, which are products and never formed."""

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsNC, FloatsND, Ints, Picks
from al_plugin.math.d2_sampling import d2_sampling
from al_plugin.math.geometry import squared_norms

_BLOCK = 4096
# Cancellation leaves about 1e-16 of the norms where copies are at distance 0.
_NOTHING = 1e-12


def gradient_residual(log_probs: FloatsNC) -> FloatsNC:
    """p - e_ŷ, ties to the lower class: (N, C) in the precision of the input (float32 or float64)."""
    dtype = np.float64 if log_probs.dtype == np.float64 else np.float32
    residual = np.empty(log_probs.shape, dtype=dtype)
    for start in range(0, len(log_probs), _BLOCK):
        block = log_probs[start : start + _BLOCK].astype(np.float64)
        rows, best = np.arange(len(block)), block.argmax(axis=1)
        top = np.expm1(block[rows, best])  # p - 1 without cancellation
        np.exp(block, out=block)
        block[rows, best] = top
        residual[start : start + _BLOCK] = block
    return residual


def factored_norms(residual: FloatsNC, hidden: FloatsND) -> FloatsN:
    """‖a ⊗ [h, 1]‖² = ‖a‖² (‖h‖² + 1), (N,), float64."""
    norms = np.empty(len(residual))
    for start in range(0, len(residual), _BLOCK):
        rows = slice(start, start + _BLOCK)
        norms[rows] = squared_norms(residual[rows]) * (squared_norms(hidden[rows]) + 1.0)
    return norms


class FactoredGaps:
    """Squared distances of the products a_i ⊗ [h_i, 1] to the nearest of those picked.

    ‖a⊗h - b⊗g‖² = ‖a‖²‖h‖² + ‖b‖²‖g‖² - 2 <a, b> <h, g>, in float64; 0 below its rounding. Factors of the
    picks are kept in float64, at most n of them.
    """

    def __init__(self, residual: FloatsNC, hidden: FloatsND, n: int) -> None:
        self.norms = factored_norms(residual, hidden)
        self._residual, self._hidden = residual, hidden
        self._left, self._right = np.empty((n, residual.shape[1])), np.empty((n, hidden.shape[1]))
        self._kept = 0

    def __call__(self, rows: Ints, picks: Picks, since: int) -> Floats:
        """To the nearest of ``picks[since:]``, (rows,); ``picks`` only ever grows."""
        new = picks[self._kept :]
        self._left[self._kept : len(picks)] = self._residual[new]
        self._right[self._kept : len(picks)] = self._hidden[new]
        self._kept = max(self._kept, len(picks))
        cross = self._residual[rows].astype(np.float64) @ self._left[since : len(picks)].T
        cross *= self._hidden[rows].astype(np.float64) @ self._right[since : len(picks)].T + 1.0
        sums = self.norms[rows][:, None] + self.norms[picks[since:]]
        squared = sums - 2.0 * cross
        squared[squared <= _NOTHING * sums] = 0.0
        nearest: Floats = squared.min(axis=1)
        return nearest


def badge_picks(residual: FloatsNC, hidden: FloatsND, n: int, rng: np.random.Generator) -> Picks:
    """k-means++ seeding over a_i ⊗ [h_i, 1]: the longest first (ties to the first position), then by D².

    By rejection (``d2_sampling``): two passes over the pool where a pass per pick needs n. Where no mass is
    left the draw is uniform over the rest. Memory O(N) beside the factors.
    Source: Ash et al. (2020).
    """
    gaps = FactoredGaps(residual, hidden, n)
    picks, drawn = d2_sampling(int(gaps.norms.argmax()), len(residual), n, gaps, rng)
    return _filled(picks, drawn, len(residual), rng)


def badge_picks_in_sequence(residual: FloatsNC, hidden: FloatsND, n: int, rng: np.random.Generator) -> Picks:
    """The same law by a pass over the pool per pick: one random number per pick, as the plain form uses.

    O(n N (C + D)); keeps both factors in float64.
    """
    wide, inputs = residual.astype(np.float64), hidden.astype(np.float64)
    norms = factored_norms(wide, inputs)
    nearest = np.full(len(norms), np.inf)
    picks = np.empty(n, dtype=np.int64)
    for step in range(n):
        pick = int(norms.argmax())
        if step:
            mass = np.cumsum(nearest)
            if mass[-1] <= 0:
                return _filled(picks, step, len(norms), rng)
            pick = int(np.searchsorted(mass, rng.random() * mass[-1], side="right"))
        picks[step] = pick
        sums = norms + norms[pick]
        squared = sums - 2.0 * (wide @ wide[pick]) * (inputs @ inputs[pick] + 1.0)
        squared[squared <= _NOTHING * sums] = 0.0
        np.minimum(nearest, squared, out=nearest)
        nearest[pick] = 0.0
    return picks


def _filled(picks: Picks, drawn: int, total: int, rng: np.random.Generator) -> Picks:
    """The picks with the places that no mass was left for drawn uniformly from the rest."""
    free = np.ones(total, dtype=np.bool_)
    free[picks[:drawn]] = False
    for step in range(drawn, len(picks)):
        picks[step] = rng.choice(np.flatnonzero(free))
        free[picks[step]] = False
    return picks
