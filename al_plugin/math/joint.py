"""Posterior samples reweighted by imagined labels: the form that joint information is computed in.

A *configuration* is one label for each sample of a set S. Given it, the T posterior samples no
longer weigh the same: w_t ∝ Π_{i in S} p_t(y_i | x_i). Sums over configurations of what the
reweighted mixture still has to tell give BatchBALD, EPIG and JEPIG; normalised weights neither
underflow for hundreds of samples nor subtract two large joint entropies.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from al_plugin.axes import Floats, FloatsN, FloatsTNC

# Configurations and numbers per block: what a block writes stays in cache.
_COLUMNS = 256
_NUMBERS = 2**16
# Stands for a probability of 0 where a logarithm is taken; adds less than 1e-28 nats.
_FLOOR = 1e-30


@dataclass(frozen=True)
class Configurations:
    """Labels of a set of samples, by what they do to the posterior.

    ``weights`` (T, R), columns sum to 1: the posterior given each of R configurations.
    ``masses`` (R,) their probabilities, sum 1. ``drawn`` is the number of configurations drawn
    (equal ones are one column), 0 while all of them are listed.
    """

    weights: Floats
    masses: Floats
    drawn: int = 0


def no_labels(samples: int, dtype: DTypeLike = np.float64) -> Configurations:
    """The one configuration of the empty set: T posterior samples of equal weight.

    ``dtype`` is that of the weights, here and after ``extended``.
    """
    return Configurations(np.full((samples, 1), 1.0 / samples, dtype=dtype), np.ones(1))


def extended(given: Configurations, log_probs: Floats, limit: int, rng: np.random.Generator) -> Configurations:
    """Configurations of the set with one more sample, whose predictions are ``log_probs`` (T, C).

    All configurations of positive probability while they are at most ``limit``; else ``limit`` are
    drawn, one from each of as many intervals of equal probability (stratified resampling: unbiased,
    and exact in how often a configuration comes up to ±1). O(T C R).
    """
    wide = log_probs.astype(np.float64)
    # In this order of the classes nothing depends on how they are numbered.
    probs = np.exp(wide[:, np.lexsort(wide)])
    masses = given.weights.T @ probs.astype(given.weights.dtype) * given.masses[:, None]
    total = masses.sum()
    children = np.flatnonzero(masses.ravel() > 0)
    drawn = given.drawn
    if len(children) > limit:
        drawn = limit
        points = (np.arange(limit) + rng.random(limit)) / limit
        cumulative = np.cumsum(masses.ravel()[children])
        found = np.searchsorted(cumulative, points * cumulative[-1], side="right")
        at, counts = np.unique(np.minimum(found, len(children) - 1), return_counts=True)
        children, shares = children[at], counts / limit
    else:
        shares = masses.ravel()[children] / total
    parents, classes = np.divmod(children, probs.shape[1])
    weights = np.take(given.weights, parents, axis=1)
    weights *= np.take(probs.astype(weights.dtype), classes, axis=1)
    weights /= weights.sum(axis=0)
    return Configurations(weights, shares, drawn)


def information_left(log_probs: FloatsTNC, given: Configurations) -> FloatsN:
    """E[I(y; ω | x, configuration)] = Σ_r m_r (H(Σ_t w_tr p_t) - Σ_t w_tr H(p_t)), (N,), in nats.

    ``log_probs`` (T, N, C). Range [0, log min(T, C)]. Every configuration's term is an information,
    hence no less than 0: where labels single out one posterior sample, nothing is left, whatever the
    configurations that were drawn. Weights in float32 give it to about 1e-6. A sample's value has the
    same bits whichever samples stand beside it. O(N C T R).
    """
    weights = given.weights
    masses = given.masses.astype(weights.dtype)
    average = weights @ masses
    classes, columns = log_probs.shape[2], weights.shape[1]
    rows = max(1, _NUMBERS // (classes * min(columns, _COLUMNS)))
    out = np.empty(log_probs.shape[1])
    for start in range(0, len(out), rows):
        logs, probs = by_sample(log_probs[:, start : start + rows])
        known = -((probs * logs).sum(axis=1) * average).sum(axis=1)
        out[start : start + rows] = _expected_entropy(probs.astype(weights.dtype, copy=False), weights, masses) - known
    return np.maximum(out, 0.0)


def by_sample(log_probs: FloatsTNC) -> tuple[Floats, Floats]:
    """Log-probabilities, those of 0 finite, and probabilities, both (N, C, T) in float64."""
    logs = np.ascontiguousarray(log_probs.transpose(1, 2, 0), dtype=np.float64)
    np.maximum(logs, -1e300, out=logs)
    return logs, np.exp(logs)


def _expected_entropy(probs: Floats, weights: NDArray[np.floating[Any]], masses: NDArray[np.floating[Any]]) -> Floats:
    """Σ_r m_r H(Σ_t w_tr p_t), (N,), of ``probs`` (N, C, T): one product of fixed shape per sample."""
    probs = np.maximum(probs, probs.dtype.type(_FLOOR))
    total = np.zeros(len(probs))
    for start in range(0, weights.shape[1], _COLUMNS):
        block = slice(start, start + _COLUMNS)
        mixed = np.matmul(probs, weights[:, block])
        terms = np.log(mixed)
        terms *= mixed
        total -= np.matmul(terms, masses[block]).astype(np.float64).sum(axis=1)
    return total
