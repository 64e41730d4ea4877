"""Uncertainty of one predictive distribution, from log-probabilities, in nats."""

import numpy as np

from al_plugin.axes import FloatsN, FloatsNC

# Rows per block: temporaries of one block stay in cache, so memory above the output is constant.
_BLOCK = 8192


def entropy(log_probs: FloatsNC) -> FloatsN:
    """Shannon entropy.

    H(p) = -Σ_c p_c log p_c, in nats, with 0·log 0 = 0.
    Range [0, log C]: 0 for a certain prediction, log C for the uniform one.
    Source: Shannon (1948); Holub, Perona, Burl (2008) for its use in active learning.
    """
    out = np.empty(len(log_probs))
    for start in range(0, len(log_probs), _BLOCK):
        block = log_probs[start : start + _BLOCK].astype(np.float64)
        # exp(-inf) = 0 and 0 * -inf is NaN: the finite floor makes the product 0.
        np.maximum(block, -1e300, out=block)
        # Taken from 0.0, since a minus sign would make -0.0 of a certain prediction.
        out[start : start + _BLOCK] = 0.0 - (np.exp(block) * block).sum(axis=1)
    return np.clip(out, 0.0, np.log(log_probs.shape[1]))


def top_two(log_probs: FloatsNC) -> tuple[FloatsN, FloatsN]:
    """Largest and second largest log-probability of each row.

    Shapes (N,), (N,). C = 1 has no second class and raises ValueError.
    """
    if log_probs.shape[1] < 2:
        raise ValueError(f"asked for the two best classes, found {log_probs.shape[1]} class")
    first = np.empty(len(log_probs))
    second = np.empty(len(log_probs))
    for start in range(0, len(log_probs), _BLOCK):
        block = np.ascontiguousarray(log_probs[start : start + _BLOCK].T, dtype=np.float64)
        best = np.maximum(block[0], block[1])
        runner_up = np.minimum(block[0], block[1])
        for column in block[2:]:
            np.maximum(runner_up, np.minimum(best, column), out=runner_up)
            np.maximum(best, column, out=best)
        first[start : start + _BLOCK] = best
        second[start : start + _BLOCK] = runner_up
    return first, second
