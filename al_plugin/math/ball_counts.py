"""How many points lie within a radius of which, without keeping the pairs.

Counts are kept, not edges: a point that becomes covered is taken off the counts of all balls that
hold it by computing that row of distances again. Every row is computed twice at most, and memory
stays O(N) however dense the balls are. Small pools keep a byte for each pair instead.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from al_plugin.axes import Floats, FloatsKD, FloatsND, Ints, IntsN

Flags = NDArray[np.bool_]

_BLOCK = 512
_PAIRS = 2**14  # pairs decided one by one at a time
_KEPT = 2**13  # points up to which the relation itself is kept, 64 MiB


class Balls:
    """Points (N, D) and a radius: which pairs are closer than that.

    x and y are neighbours iff ‖x - y‖ < radius, or x = y. Decided by a product in single precision
    where that is beyond doubt, else by the sum of squared differences in float64, so the relation
    is symmetric and holds between copies.
    """

    def __init__(self, points: FloatsND, radius: float) -> None:
        # Around the middle of the pool norms, and with them the doubt, are least.
        self._middle = points.mean(axis=0, dtype=np.float64)
        self._points = points
        self._radius = radius
        self._left, self._right, self._half, self._norms = self._frame(points)
        self._kept: Flags | None = None

    def _frame(self, points: FloatsND) -> tuple[Floats, Floats, Floats, Floats]:
        wide = points - self._middle
        half = np.einsum("nd,nd->n", wide, wide) / 2
        narrow = wide.astype(np.float32)
        # <(x, 1), (y, -‖y‖²/2)> > (‖x‖² - r²) / 2  iff  ‖x - y‖ < r: one product, one comparison.
        left = np.column_stack([narrow, np.ones(len(narrow), dtype=np.float32)])
        right = np.column_stack([narrow, -half.astype(np.float32)])
        return left, right, half, np.sqrt(2 * half)

    def within(self, rows: slice | Ints, columns: slice | Ints) -> Flags:
        """Which of the points ``rows`` are neighbours of which of ``columns``, (R, K)."""
        there = self._right[columns], self._norms[columns], self._points[columns]
        return self._decided(rows, *there)

    def _decided(self, rows: slice | Ints, right: Floats, norms: Floats, others: FloatsKD) -> Flags:
        product = self._left[rows] @ right.T
        lengths = self._norms[rows]
        threshold = self._half[rows] - self._radius**2 / 2
        longest = float(norms.max(initial=0.0))
        # Rounding of the inputs, of D + 1 products and of their sum, with room to spare.
        doubt = 2.0**-23 * (right.shape[1] + 4) * (lengths * longest + longest**2 + lengths**2)
        upper = (threshold + doubt).astype(np.float32)[:, None]
        near: Flags = product > upper
        lower = (threshold - doubt).astype(np.float32)[:, None]
        maybe = np.flatnonzero(product >= lower)
        maybe = maybe[~near.ravel()[maybe]]
        here = self._points[rows]
        for start in range(0, len(maybe), _PAIRS):
            x, y = np.divmod(maybe[start : start + _PAIRS], near.shape[1])
            gap = here[x].astype(np.float64) - others[y].astype(np.float64)
            squared = np.einsum("nd,nd->n", gap, gap)
            near[x, y] = (squared < self._radius**2) | (squared == 0)
        return near

    def counts(self, targets: Flags) -> IntsN:
        """Number of neighbours of each point among the points flagged in ``targets``, itself included."""
        size = len(self._points)
        found = np.zeros(size, dtype=np.int64)
        kept = np.empty((size, size), dtype=np.bool_) if size <= _KEPT else None
        for rows in blocks(size):
            for columns in blocks(rows.stop):
                near = self.within(rows, columns)
                found[rows] += np.count_nonzero(near[:, targets[columns]], axis=1)
                if columns.start < rows.start:  # the relation is symmetric: one half serves both
                    found[columns] += np.count_nonzero(near[targets[rows]], axis=0)
                if kept is not None:
                    kept[rows, columns] = near
                    kept[columns, rows] = near.T
        self._kept = kept
        return found

    def counts_of(self, members: Ints) -> IntsN:
        """Number of neighbours of each point among ``members`` (positions)."""
        found = np.zeros(len(self._points), dtype=np.int64)
        for start in range(0, len(members), _BLOCK):
            if self._kept is not None:
                found += np.count_nonzero(self._kept[members[start : start + _BLOCK]], axis=0)
                continue
            for rows in blocks(len(self._points)):
                found[rows] += np.count_nonzero(self.within(rows, members[start : start + _BLOCK]), axis=1)
        return found


def blocks(size: int) -> Iterator[slice]:
    """Slices of at most 512 that make up range(size)."""
    for start in range(0, size, _BLOCK):
        yield slice(start, min(start + _BLOCK, size))
