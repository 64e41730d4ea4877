"""Which samples are copies, or nearly, of samples of another set."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from al_plugin.axes import Floats, Ints
from al_plugin.math.distinct import copied

# Directions that rule pairs out before their distance is computed.
_DIRECTIONS = 8
# Pairs looked at at a time.
_PAIRS = 1 << 20


def near_copies(samples: np.ndarray, others: np.ndarray, deviation: Floats, radius: float) -> NDArray[np.bool_]:
    """Whether some row of ``others`` (M, D) is within ``radius`` of each row of ``samples`` (N, D): (N,).

    Distance: root mean square over features of the difference in units of ``deviation`` (D,), 0
    standing for 1; copies have distance 0. Exact: projected on a unit vector, rows are never further
    apart than they are, so that only rows close in all of a few projections are compared.
    """
    found = np.zeros(len(samples), dtype=np.bool_)
    if not (len(samples) and len(others)):
        return found
    if radius == 0:
        # Adding 0 makes -0.0 the 0.0 that it equals.
        return copied(samples + samples.dtype.type(0), others + others.dtype.type(0))
    width = samples.shape[1]
    units = 1.0 / (np.where(deviation > 0, deviation, 1.0) * np.sqrt(width))
    directions = _wide_directions(others, units)
    ours, theirs = (_projected(rows, units, directions) for rows in (samples, others))
    # Rounding of the projections must not rule a pair out.
    slack = 1e-9 * (1 + max(np.abs(ours).max(), np.abs(theirs).max()))
    reach = radius + slack
    order = np.argsort(theirs[:, 0], kind="stable")
    first = np.searchsorted(theirs[order, 0], ours[:, 0] - reach, side="left")
    last = np.searchsorted(theirs[order, 0], ours[:, 0] + reach, side="right")
    for rows, at in _pairs(first, last):
        other = order[at]
        close = np.arange(len(rows))
        for axis in range(1, ours.shape[1]):
            close = close[np.abs(ours[rows[close], axis] - theirs[other[close], axis]) <= reach]
        for start in range(0, len(close), 4096):
            kept = close[start : start + 4096]
            gap = (samples[rows[kept]].astype(np.float64) - others[other[kept]].astype(np.float64)) * units
            found[rows[kept][np.einsum("ij,ij->i", gap, gap) <= radius**2]] = True
    return found


def _wide_directions(rows: np.ndarray, units: Floats) -> Floats:
    """About the directions in which the rows vary most, orthonormal (D, K): they rule out the most pairs."""
    wide = rows[:4096].astype(np.float64) * units
    wide -= wide.mean(axis=0)
    found = np.random.default_rng(0).normal(size=(wide.shape[1], min(_DIRECTIONS, wide.shape[1])))
    for _ in range(3):
        found = np.linalg.qr(wide.T @ (wide @ np.linalg.qr(found)[0]))[0]
    return found


def _projected(rows: np.ndarray, units: Floats, directions: Floats) -> Floats:
    """Rows on the directions, (n, K), block by block: no float64 copy of all of them."""
    scaled = directions * units[:, None]
    return np.concatenate(
        [rows[start : start + 8192].astype(np.float64) @ scaled for start in range(0, len(rows), 8192)]
    )


def _pairs(first: Ints, last: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Pairs (row, place) with first[row] <= place < last[row], in groups of about ``_PAIRS``."""
    counts = last - first
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + _PAIRS, side="right")))
        rows = np.repeat(np.arange(start, stop), counts[start:stop])
        offsets = np.arange(len(rows)) - np.repeat(ends[start:stop] - counts[start:stop] - done, counts[start:stop])
        yield rows, first[rows] + offsets
        start = stop
