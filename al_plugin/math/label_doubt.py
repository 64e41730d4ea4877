"""Doubt about labels that each are there or not: from log-odds, so that nothing rounds away near 0 and 1."""

from collections.abc import Callable

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsNC, FloatsTNC

_BLOCK = 4096


def binary_entropy(log_odds: Floats) -> Floats:
    """H(p) = -p log p - (1 - p) log (1 - p) with p = 1 / (1 + e^-z), nats, of the shape of z; float64."""
    # With a = |z|: H = log(1 + e^-a) + a / (1 + e^a); at infinity the last term is 0.
    size = np.abs(log_odds.astype(np.float64))
    small = np.exp(-size)
    return np.asarray(np.log1p(small) + np.where(small > 0, size, 0.0) * small / (1.0 + small))


def mean_entropy(log_odds: FloatsNC) -> FloatsN:
    """(1/C) Σ_c H(p_c), (N,), range [0, log 2]."""
    return _in_blocks(lambda rows: binary_entropy(rows).mean(axis=1), log_odds)


def largest_entropy(log_odds: FloatsNC) -> FloatsN:
    """max_c H(p_c), (N,), range [0, log 2]."""
    return _in_blocks(lambda rows: binary_entropy(rows).max(axis=1), log_odds)


def _in_blocks(function: Callable[[FloatsNC], FloatsN], log_odds: FloatsNC) -> FloatsN:
    """Row by row the same, with temporaries of a block alone."""
    found = np.empty(len(log_odds))
    for start in range(0, len(log_odds), _BLOCK):
        found[start : start + _BLOCK] = function(log_odds[start : start + _BLOCK])
    return found


def negative_margin(log_odds: FloatsNC) -> FloatsN:
    """-min_c |2 p_c - 1|, (N,), range [-1, 0]; |2p - 1| = tanh(|z| / 2)."""
    least = np.abs(log_odds.astype(np.float64)).min(axis=1)
    # 0.0, not -0.0, where a label is undecided.
    found: FloatsN = 0.0 - np.tanh(0.5 * least)
    return found


def mutual_information(mc_log_odds: FloatsTNC) -> FloatsN:
    """(1/C) Σ_c [H(p̄_c) - (1/T) Σ_t H(p_tc)], (N,), range [0, log 2]; rounding below 0 is cut off."""
    mean, rest, within = (np.zeros(mc_log_odds.shape[1:]) for _ in range(3))
    for sample in mc_log_odds:
        within += binary_entropy(sample)
        odds = np.clip(sample.astype(np.float64), -700, 700)
        mean += 1.0 / (1.0 + np.exp(-odds)) / len(mc_log_odds)
        rest += 1.0 / (1.0 + np.exp(odds)) / len(mc_log_odds)  # 1 - mean would lose its digits near 1
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(mean > 0, mean * np.log(mean), 0.0) + np.where(rest > 0, rest * np.log(rest), 0.0)
    found: FloatsN = np.maximum(-terms - within / len(mc_log_odds), 0.0).mean(axis=1)
    return found
