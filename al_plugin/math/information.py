"""Uncertainty of one predictive distribution, from log-probabilities, in nats.

Functions of one element keep the precision of the input (models give float32), sums over classes are
float64 and run in an order that does not depend on where a row stands: copies of a row score alike to
the last bit. Blocks of samples keep every temporary in cache.
"""

from collections.abc import Callable, Iterator

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsNC

Kernel = Callable[[Floats], Floats]

# Numbers per block: few enough that temporaries are reused from cache (fresh memory costs several times as
# much), enough that the cost of a call does not show.
_BLOCK = 2**18
# From here on a pass along each row beats a pass per class.
_WIDE = 64
# Classes per dot product of many classes.
_PIECE = 2048


def in_blocks(kernel: Kernel, log_probs: Floats, numbers: int = _BLOCK) -> FloatsN:
    """``kernel`` of log-probabilities (..., N, C), block by block of samples: (N,), float64."""
    out = np.empty(log_probs.shape[-2])
    for rows, block in blocks(log_probs, numbers):
        out[rows] = kernel(block)
    return out


def blocks(log_probs: Floats, numbers: int = _BLOCK) -> Iterator[tuple[slice, Floats]]:
    """Samples and log-probabilities (..., n, C) of each block of about ``numbers``, float32 or float64."""
    samples = log_probs.shape[-2]
    step = max(1, numbers * samples // max(log_probs.size, 1))
    for start in range(0, samples, step):
        rows = slice(start, min(start + step, samples))
        block = log_probs[..., rows, :]
        if block.dtype != np.float32:
            block = block.astype(np.float64, copy=False)
        # The order of additions along a row, and so the last bit, depends on the layout.
        yield rows, block if block.strides[-1] == block.itemsize else block.copy()


def with_faint(kernel: Kernel, below: float = 1e-30) -> Kernel:
    """Non-negative scores ``below`` what float32 resolves are computed again in float64."""

    def resolved(block: Floats) -> Floats:
        values = kernel(block)
        faint = values < below
        if block.dtype == np.float32 and faint.any():
            values[faint] = kernel(block[..., faint, :].astype(np.float64))
        return values

    return resolved


def by_class(block: Floats, *, double: bool = False) -> Floats:
    """(..., C) with classes first, as (K, ..., w) with C = K · w: class k · w + j stands at [k, ..., j].

    Few classes are moved two at a time (w = 2) where C is even; many stay where they are (K = 1).
    """
    classes = block.shape[-1]
    if classes > _WIDE:
        return block[np.newaxis].astype(np.float64 if double else block.dtype, copy=False)
    # A complex number is two floats to be moved together.
    pairs = classes % 2 == 0
    items = block.view(np.result_type(block.dtype, np.complex64)) if pairs else block
    wanted = np.result_type(items.dtype, np.float64) if double else items.dtype
    moved = np.moveaxis(items, -1, 0).astype(wanted, order="C")
    return moved.view(moved.real.dtype).reshape(len(moved), *block.shape[:-1], 2 if pairs else 1)


def class_sums(terms: Floats) -> Floats:
    """Sums over the last axis in float64."""
    return lane_sums(by_class(terms, double=True))


def lane_sums(columns: Floats) -> Floats:
    """Sums in float64 over all classes of what ``by_class`` gives."""
    if columns.shape[-1] > 2:
        # Along contiguous rows: the order of additions is the same for every row.
        return np.asarray(columns[0].sum(axis=-1, dtype=np.float64))
    lanes = columns[0].astype(np.float64)
    for column in columns[1:]:
        lanes += column
    total: Floats = lanes[..., 0] + lanes[..., 1] if lanes.shape[-1] == 2 else lanes[..., 0]
    return total


def over_classes(values: Floats, columns: Floats) -> Floats:
    """A value per sample, shaped to meet every class of what ``by_class`` gives."""
    width = columns.shape[-1]
    # Few lanes: written out, since a short inner loop is slow.
    return values[..., np.newaxis] if width > 2 else np.repeat(values, width).reshape(columns.shape[1:])


def class_maxima(columns: Floats) -> Floats:
    """Largest value over all classes of what ``by_class`` gives."""
    lanes = columns[0]
    for column in columns[1:]:
        lanes = np.maximum(lanes, column)
    if lanes.shape[-1] > 2:
        return np.asarray(lanes.max(axis=-1))
    ends: Floats = np.maximum(lanes[..., 0], lanes[..., -1])
    return ends


def entropy(log_probs: FloatsNC) -> FloatsN:
    """Shannon entropy.

    H(p) = -Σ_c p_c log p_c, in nats, with 0·log 0 = 0. Relative error about 3e-7 in float32.
    Range [0, log C]: 0 for a certain prediction, log C for the uniform one.
    Source: Shannon (1948); Holub, Perona, Burl (2008) for its use in active learning.
    """
    return in_blocks(with_faint(_entropy), log_probs)


def _entropy(block: FloatsNC) -> FloatsN:
    terms = np.exp(block)
    with np.errstate(invalid="ignore"):
        if block.shape[1] > _WIDE:
            total = row_products(terms, block)
        else:
            terms *= block
            total = class_sums(terms)
    if np.isnan(total).any():
        # 0 * -inf is NaN, 0 times a finite floor is 0.
        return _entropy(np.maximum(block, np.finfo(block.dtype).min))
    # 0 - x: a certain prediction has entropy 0, not -0.
    clipped: FloatsN = np.clip(0.0 - total, 0.0, np.log(block.shape[1]))
    return clipped


def row_products(left: Floats, right: Floats) -> FloatsN:
    """Σ_c left_nc · right_nc; short pieces keep rounding low, and BLAS threads (n > 10 000) out."""
    total = np.zeros(len(left))
    for start in range(0, left.shape[1], _PIECE):
        piece = slice(start, start + _PIECE)
        total += np.vecdot(left[:, piece], right[:, piece])
    return total


def best(log_probs: FloatsNC) -> FloatsN:
    """Largest log-probability of each row, shape (N,), float64."""
    return in_blocks(lambda block: class_maxima(by_class(block)), log_probs)


def top_two(log_probs: FloatsNC) -> tuple[FloatsN, FloatsN]:
    """Largest and second largest log-probability of each row.

    Shapes (N,), (N,), float64. C = 1 has no second class and raises ValueError.
    """
    if log_probs.shape[1] < 2:
        raise ValueError(f"asked for the two best classes, found {log_probs.shape[1]} class")
    first, second = np.empty(len(log_probs)), np.empty(len(log_probs))
    for rows, block in blocks(log_probs):
        first[rows], second[rows] = _wide_top_two(block) if block.shape[1] > _WIDE else _narrow_top_two(block)
    return first, second


def _narrow_top_two(block: FloatsNC) -> tuple[FloatsN, FloatsN]:
    """Class by class: running extremes are vectorised over rows."""
    columns = by_class(block)
    if len(columns) == 1:  # two classes
        return columns.max(axis=(0, 2)), columns.min(axis=(0, 2))
    leader, runner_up = np.maximum(columns[0], columns[1]), np.minimum(columns[0], columns[1])
    lower = np.empty_like(leader)
    for column in columns[2:]:
        np.minimum(leader, column, out=lower)
        np.maximum(runner_up, lower, out=runner_up)
        np.maximum(leader, column, out=leader)
    if leader.shape[1] == 1:
        return leader[:, 0], runner_up[:, 0]
    left, right = leader[:, 0], leader[:, 1]
    others = np.maximum(runner_up[:, 0], runner_up[:, 1])
    return np.maximum(left, right), np.maximum(others, np.minimum(left, right))


def _wide_top_two(block: FloatsNC) -> tuple[FloatsN, FloatsN]:
    """The best of each row, then the best without it."""
    others = block.copy()
    at = np.arange(len(block)), block.argmax(axis=1)
    leader = others[at]
    others[at] = -np.inf
    runner_up: FloatsN = others.max(axis=1)
    return leader, runner_up


def negative_margin(log_probs: FloatsNC) -> FloatsN:
    """-(p₍₁₎ - p₍₂₎), (N,), float64; range [-1, 0], -1 for a certain prediction. Needs C >= 2."""
    return in_blocks(_negative_margin, log_probs)


def _negative_margin(block: FloatsNC) -> FloatsN:
    """p2 - p1 as p1 (exp(log p2 - log p1) - 1): exact where both are close."""
    first, second = top_two(block)
    second -= first
    np.expm1(second, out=second)
    np.exp(first, out=first)
    second *= first
    return second
