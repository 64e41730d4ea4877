"""Uncertainty of one predictive distribution, from log-probabilities, in nats."""

from collections.abc import Iterator

import numpy as np

from al_plugin.axes import FloatsN, FloatsNC

# Numbers per block: temporaries of one block stay in cache, so memory above the output is constant.
_BLOCK = 2**16
# From here on a pass along each row beats a pass per class.
_WIDE = 64


def _row_blocks(log_probs: FloatsNC) -> Iterator[slice]:
    rows = max(1, _BLOCK // log_probs.shape[1])
    for start in range(0, len(log_probs), rows):
        yield slice(start, min(start + rows, len(log_probs)))


def entropy(log_probs: FloatsNC) -> FloatsN:
    """Shannon entropy.

    H(p) = -Σ_c p_c log p_c, in nats, with 0·log 0 = 0.
    Range [0, log C]: 0 for a certain prediction, log C for the uniform one.
    Source: Shannon (1948); Holub, Perona, Burl (2008) for its use in active learning.
    """
    out = np.empty(len(log_probs))
    for rows in _row_blocks(log_probs):
        block = log_probs[rows].astype(np.float64)
        # exp(-inf) = 0 and 0 * -inf is NaN: the finite floor makes the product 0.
        np.maximum(block, -1e300, out=block)
        probs = np.exp(block)
        probs *= block
        out[rows] = probs.sum(axis=1)
    # 0 - x: a certain prediction has entropy 0, not -0.
    return np.clip(0.0 - out, 0.0, np.log(log_probs.shape[1]))


def best(log_probs: FloatsNC) -> FloatsN:
    """Largest log-probability of each row, shape (N,), float64."""
    out = np.empty(len(log_probs))
    for rows in _row_blocks(log_probs):
        block = log_probs[rows]
        if block.shape[1] > _WIDE:
            out[rows] = block.max(axis=1)
            continue
        columns = np.ascontiguousarray(block.T)
        running = columns[0].copy()
        for column in columns[1:]:
            np.maximum(running, column, out=running)
        out[rows] = running
    return out


def top_two(log_probs: FloatsNC) -> tuple[FloatsN, FloatsN]:
    """Largest and second largest log-probability of each row.

    Shapes (N,), (N,), float64. C = 1 has no second class and raises ValueError.
    """
    if log_probs.shape[1] < 2:
        raise ValueError(f"asked for the two best classes, found {log_probs.shape[1]} class")
    first = np.empty(len(log_probs))
    second = np.empty(len(log_probs))
    for rows in _row_blocks(log_probs):
        block = log_probs[rows]
        first[rows], second[rows] = _wide_top_two(block) if block.shape[1] > _WIDE else _narrow_top_two(block)
    return first, second


def _narrow_top_two(block: FloatsNC) -> tuple[FloatsN, FloatsN]:
    """Column by column on the transposed block: running extremes are vectorised over rows."""
    columns = np.ascontiguousarray(block.T)
    leader = np.maximum(columns[0], columns[1])
    runner_up = np.minimum(columns[0], columns[1])
    lower = np.empty_like(leader)
    for column in columns[2:]:
        np.minimum(leader, column, out=lower)
        np.maximum(runner_up, lower, out=runner_up)
        np.maximum(leader, column, out=leader)
    return leader, runner_up


def _wide_top_two(block: FloatsNC) -> tuple[FloatsN, FloatsN]:
    """The best of each row, then the best without it."""
    others = block.copy()
    at = np.arange(len(block)), block.argmax(axis=1)
    leader = others[at]
    others[at] = -np.inf
    runner_up: FloatsN = others.max(axis=1)
    return leader, runner_up
