"""Certified upper bounds of squared distances by fast matrix products, and exact values of few rows.

A product in single precision costs half of one in double and has a known error: with u the unit
roundoff, |computed - true| <= (4 D + 16) u (‖x‖² + ‖c‖²) for squared distances in D dimensions (Higham 2002,
section 3.1). Adding it gives an upper bound, so a search may skip what cannot win and decide the
rest by differences in double precision: the result does not depend on the precision of the product.
"""

from typing import NamedTuple

import numpy as np

from al_plugin.axes import Floats, FloatsKD, FloatsN, FloatsND

_ROWS = 512
_CENTERS = 1024
_PAIRS = 1 << 20


def relative_error(dtype: np.dtype[np.floating], width: int) -> float:
    """Bound of the error of ‖x‖² + ‖c‖² - 2 x·c, computed in ``dtype``, over ‖x‖² + ‖c‖²."""
    return (4 * width + 16) * float(np.finfo(dtype).eps) / 2


class Frame(NamedTuple):
    """Origin (D,) moved into the middle of the points, and the precision of products.

    Distances do not change with the origin, but the error of a product does.
    """

    origin: Floats
    dtype: np.dtype[np.floating]

    def rows(self, points: FloatsND) -> Floats:
        """[x - origin, 1], shape (N, D + 1)."""
        out = np.empty((len(points), points.shape[1] + 1), dtype=self.dtype)
        wide = np.result_type(points, self.origin, self.dtype)
        np.subtract(points, self.origin, out=out[:, :-1], dtype=wide, casting="same_kind")
        out[:, -1] = 1
        return out

    def columns(self, centers: FloatsKD) -> Floats:
        """[-2 (c - origin), (1 + error) ‖c - origin‖²], so that ``rows @ columns.T`` lacks ‖x‖² only."""
        out = self.rows(centers)
        inner = out[:, :-1]
        out[:, -1] = np.einsum("kd,kd->k", inner, inner) * (1 + self.error)
        # Products that underflow lose at most the smallest number each.
        out[:, -1] += 4 * out.shape[1] * np.finfo(self.dtype).smallest_subnormal
        inner *= -2
        return out

    def nearest(self, rows: Floats, columns: Floats) -> FloatsN:
        """Upper bound of the squared distance of each row to the nearest column, float64, (N,)."""
        inner = rows[:, :-1]
        norms = np.einsum("nd,nd->n", inner, inner).astype(np.float64) * (1 + self.error)
        upper: FloatsN = np.maximum((rows @ columns.T).min(axis=1) + norms, 0.0)
        return upper

    @property
    def error(self) -> float:
        """``relative_error`` of this precision and width."""
        return relative_error(self.dtype, len(self.origin))


def frame(points: FloatsND, dtype: type[np.floating] | None = None) -> Frame:
    """A frame about the middle of a thousand of the points; by default single precision where its range allows."""
    some = points[:: max(len(points) // 1024, 1)].astype(np.float64)
    narrow = np.float32(np.float64(some.mean(axis=0)).clip(-1e30, 1e30)) if len(some) else np.zeros(points.shape[1])
    if dtype is None:
        reach = max(float(points.max(initial=0.0)), -float(points.min(initial=0.0)))
        dtype = np.float32 if reach * reach * points.shape[1] < 1e36 else np.float64
    # A single-precision origin keeps differences of single-precision points in that precision.
    return Frame(np.asarray(narrow, dtype=np.float64 if points.dtype == np.float64 else np.float32), np.dtype(dtype))


def lower_to(upper: FloatsN, points: FloatsND, centers: FloatsKD, within: Frame) -> None:
    """Lower the upper bounds (N,) in place by the distances to further centers, in blocks."""
    for first in range(0, len(centers), _CENTERS):
        columns = within.columns(centers[first : first + _CENTERS])
        for start in range(0, len(points), _ROWS):
            part = upper[start : start + _ROWS]
            np.minimum(part, within.nearest(within.rows(points[start : start + _ROWS]), columns), out=part)


def squared_gaps(points: FloatsND, center: Floats) -> FloatsN:
    """Σ_d (x_d - c_d)² by differences in float64, (N,): 0 for copies, the same for equal points."""
    gap = points - center.astype(np.float64)
    squares: Floats = np.einsum("nd,nd->n", gap, gap)
    return squares


def lower_exactly(squared: FloatsN, bound: FloatsN, points: FloatsND, centers: FloatsKD, origin: Floats) -> None:
    """Lower float64 values (N,) in place to the ``squared_gaps`` of the nearest center.

    A product in double precision names the centers that may be nearest: those not above ``bound``, an
    upper bound of the true value, nor above the nearest by more than the error.
    """
    error = relative_error(np.dtype(np.float64), points.shape[1])
    moved = points - origin
    norms = np.einsum("nd,nd->n", moved, moved)
    for first in range(0, len(centers), _CENTERS):
        block = centers[first : first + _CENTERS].astype(np.float64)
        other = block - origin
        lengths = np.einsum("kd,kd->k", other, other)
        lower = moved @ (-2.0 * other.T)
        lower += (norms * (1 - error))[:, None]
        lower += lengths * (1 - error)
        slack = 2 * error * (norms + lengths[lower.argmin(axis=1)])
        # `slack` is that of one center, whose upper bound the nearest cannot exceed.
        limit = np.minimum(np.minimum(bound, squared), lower.min(axis=1) + slack)
        row, column = np.nonzero((lower <= limit[:, None]) & (squared > 0)[:, None])
        step = max(_PAIRS // points.shape[1], 1)
        for start in range(0, len(row), step):
            at, to = row[start : start + step], column[start : start + step]
            gap = points[at] - block[to]
            np.minimum.at(squared, at, np.einsum("pd,pd->p", gap, gap))
