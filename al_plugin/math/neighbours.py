"""Exact nearest neighbours in blocks."""

import numpy as np

from al_plugin.axes import Floats, FloatsKD, FloatsN, FloatsND, Ints, IntsN
from al_plugin.math.distance_bounds import squared_gaps

# Numbers per block of products, and per block of differences.
_BLOCK = 2**19
# Pairs per product, where all points meet a part of the others.
_PAIRS = 2**22
# Points per product at least: a product of single points reads all others for each.
_FEWEST = 8
# Others whose least distance stands for the group while the k nearest are looked for.
_GROUP = 8


def nearest(points: FloatsND, others: FloatsKD, k: int) -> Ints:
    """Positions of the k nearest of ``others`` for each point, (N, k), nearest first.

    Equal distances go to the lower position. Needs 1 <= k <= K. Distances are compared as
    Σ_d (x_d - o_d)² in float64. A float32 product finds the others that its rounding cannot exclude; it
    has the last word only where they stand further apart than it can err.
    """
    center = others.mean(axis=0, dtype=np.float64)
    coarse, lengths = _moved(others, center)
    double = np.float32(-2.0) * coarse.T
    squares = (lengths**2).astype(np.float32)
    index = np.empty((len(points), k), dtype=np.int64)
    step = max(_FEWEST, _BLOCK // len(others))
    for start in range(0, len(points), step):
        block = points[start : start + step]
        near, far = _moved(block, center)
        errors = _errors(far, float(lengths.max()), float(np.abs(center).max()), len(center))
        # ‖x - o‖² less ‖x‖², which is the same for all others.
        with np.errstate(invalid="ignore", over="ignore"):
            values = near @ double
            values += squares
        values[~np.isfinite(errors)] = 0.0  # all are candidates
        index[start : start + step] = _decided(block, others, values, errors, k)
    return index


def pairs_within(points: FloatsND, others: FloatsKD, radius: float) -> tuple[IntsN, IntsN, FloatsN]:
    """Pairs at most ``radius`` apart, (P,) each: positions in ``points`` and in ``others``, squared distances.

    By others, then points. Decided by Σ_d (x_d - o_d)² in float64, which is computed where a float32 product
    does not rule a pair out.
    """
    found: list[tuple[Ints, Ints, FloatsN]] = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    center = others.mean(axis=0, dtype=np.float64) if len(others) else np.zeros(points.shape[1])
    near, far = _moved(points, center)
    step = max(1, _PAIRS // max(1, len(points)))
    for start in range(0, len(others), step):
        part = others[start : start + step]
        coarse, lengths = _moved(part, center)
        errors = _errors(far, float(lengths.max()), float(np.abs(center).max()), len(center))
        with np.errstate(invalid="ignore", over="ignore"):
            values = near @ (np.float32(-2.0) * coarse.T)
            values += (lengths**2).astype(np.float32)
            bound = np.nextafter((radius**2 - far**2 + 2.0 * errors).astype(np.float32), np.float32(np.inf))
        values[~np.isfinite(errors)], bound[~np.isfinite(errors)] = 0.0, np.inf  # all are candidates
        maybe = np.flatnonzero((values <= bound[:, np.newaxis]).T)
        for first in range(0, len(maybe), some := max(1, _BLOCK // points.shape[1])):
            column, row = np.divmod(maybe[first : first + some], len(points))
            squared = squared_gaps(points[row], part[column])
            close = squared <= radius**2
            found.append((row[close], start + column[close], squared[close]))
    row, column, squared = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return row, column, squared


def _moved(points: FloatsND, center: Floats) -> tuple[Floats, FloatsN]:
    """The points from the center in float32, and their lengths."""
    moved, lengths = np.empty(points.shape, dtype=np.float32), np.empty(len(points))
    step = max(1, _BLOCK // points.shape[1])
    for start in range(0, len(points), step):
        rows = slice(start, start + step)
        wide = points[rows] - center
        lengths[rows] = np.sqrt(np.einsum("nd,nd->n", wide, wide))
        with np.errstate(over="ignore"):
            moved[rows] = wide
    return moved, lengths


def _errors(lengths: FloatsN, longest: float, offset: float, width: int) -> FloatsN:
    """How much the float32 value of any other can be off, per point; infinite where float32 overflows.

    A dot product of D terms errs by at most D · 2⁻²⁴ of the lengths, each rounded factor by one more such
    share; the move to the center is in float64; what is below 2⁻¹²⁶ may be lost.
    """
    products = 2.0 * (width + 8) * lengths * longest + 8.0 * longest**2
    errors = 2.0**-24 * products + 2.0**-48 * offset * width * (lengths + longest) + width * 2.0**-120
    return np.where(products < 2.0**120, errors, np.inf)


def _decided(points: FloatsND, others: FloatsKD, values: Floats, errors: FloatsN, k: int) -> Ints:
    """The k nearest from values that may be off by ``errors``."""
    bound = np.nextafter((_upper_bound(values, k) + 2.0 * errors).astype(np.float32), np.float32(np.inf))
    row, column = np.divmod(np.flatnonzero(values <= bound[:, np.newaxis]), len(others))
    counts = np.bincount(row, minlength=len(points))
    slot = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    candidates = np.zeros((len(points), counts.max()), dtype=np.int64)
    candidates[row, slot] = column
    keys = np.full(candidates.shape, np.inf)
    keys[row, slot] = values[row, column]
    order = np.argsort(keys, axis=1)[:, : k + 1]
    with np.errstate(invalid="ignore"):  # inf - inf beyond the last candidate
        gaps = np.diff(np.take_along_axis(keys, order, axis=1), axis=1)
    unsure = ~(gaps > 2.0 * errors[:, np.newaxis]).all(axis=1)
    for start in range(0, int(unsure.sum()), step := max(1, _BLOCK // (candidates.shape[1] * points.shape[1]))):
        again = np.flatnonzero(unsure)[start : start + step]
        difference = points[again, np.newaxis].astype(np.float64) - others[candidates[again]]
        exact = np.einsum("nkd,nkd->nk", difference, difference)
        exact[np.isinf(keys[again])] = np.inf
        # Candidates stand by position: a stable sort gives a tie to the lower.
        order[again] = np.argsort(exact, axis=1, kind="stable")[:, : k + 1]
    return np.take_along_axis(candidates, order[:, :k], axis=1)


def _upper_bound(values: Floats, k: int) -> FloatsN:
    """At least the k-th smallest of each row, and near it: that of the least values of groups."""
    total = values.shape[1]
    width = total // _GROUP
    if width < k:
        return np.partition(values, k - 1, axis=1)[:, k - 1]
    least = values[:, :width].copy()
    for start in range(width, width * _GROUP, width):
        np.minimum(least, values[:, start : start + width], out=least)
    return np.partition(least, k - 1, axis=1)[:, k - 1]
