"""Why a sample was chosen and what a batch adds: ranks, neighbours, near copies, coverage, a plane to draw on."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from al_plugin.axes import Floats, FloatsKD, FloatsN, FloatsND, Ints, IntsN
from al_plugin.math.clustering import nearest_index
from al_plugin.math.distance_bounds import squared_gaps
from al_plugin.math.geometry import squared_distances
from al_plugin.math.neighbours import nearest, pairs_within

# Points that a plane is laid through, and dimensions up to which their products are summed by dimension.
_DRAWN = 2000
_GRAM = 512


def ranks(values: FloatsN, at: FloatsN) -> Ints:
    """Rank of each of ``at`` among ``values``: 1 + how many are larger, (n,). Ties share the best rank."""
    ordered = np.sort(values)
    return 1 + len(ordered) - np.searchsorted(ordered, at, side="right")


@dataclass(frozen=True)
class Neighbours:
    """The nearest of other points: ``index`` (n, k) nearest first, ``distance`` (n, k) Euclidean."""

    index: Ints
    distance: Floats


def nearest_of(points: FloatsND, others: FloatsKD, k: int) -> Neighbours:
    """The k nearest of ``others``, or all if they are fewer; ties go to the lower position."""
    k = min(k, len(others))
    if k == 0 or len(points) == 0:
        return Neighbours(np.empty((len(points), 0), dtype=np.int64), np.empty((len(points), 0)))
    index = nearest(points, others, k)
    distance = np.empty(index.shape)
    for column in range(k):
        distance[:, column] = np.sqrt(squared_gaps(points, others[index[:, column]]))
    return Neighbours(index, distance)


def near_copy_radius(few: FloatsND, points: FloatsND, *, neighbours: int = 10, share: float = 0.25) -> float:
    """A quarter of the median distance from some points to their 10th nearest of all; 0 where there is but one.

    ``few`` are a part of ``points``. Ordinary neighbours lie at a common scale: where the 1st lies far
    below the 10th, it is a copy with a little noise. The 10th, since a pool may hold every sample several times.
    """
    k = min(neighbours, len(points) - 1)
    if k < 1 or len(few) == 0:
        return 0.0
    # The nearest of all is the point itself, or an exact copy of it.
    return share * float(np.median(nearest_of(few, points, k + 1).distance[:, -1]))


def within(points: FloatsND, others: FloatsKD, radius: float, own: IntsN) -> list[Ints]:
    """Positions of ``others`` at most ``radius`` from each point, nearest first, without its ``own`` (n,)."""
    row, column, squared = pairs_within(points, others, radius)
    order = np.lexsort((column, squared, row))
    row, column = row[order], column[order]
    ends = np.searchsorted(row, np.arange(len(points) + 1))
    near = [column[begin:end] for begin, end in pairwise(ends.tolist())]
    return [some[some != self] for some, self in zip(near, own, strict=True)]


def to_nearest(points: FloatsND, centers: FloatsKD) -> FloatsN:
    """Distance of each point to its nearest center, (N,); +inf without centers."""
    if len(centers) == 0 or len(points) == 0:
        return np.full(len(points), np.inf)
    distance: FloatsN = np.sqrt(nearest_index(points, centers)[1])
    return distance


@dataclass(frozen=True)
class Coverage:
    """How near a set of samples comes to the points of a pool.

    ``mean``, ``error`` (standard error of the mean) and ``largest`` distance to the nearest of the set,
    None without a set; ``covered``: share of points within the radius.
    """

    mean: float | None
    error: float | None
    largest: float | None
    covered: float


def coverage(distance: FloatsN, radius: float) -> Coverage:
    """Coverage from the distance of each point to the nearest sample of a set (N,)."""
    if len(distance) == 0 or not np.isfinite(distance).all():
        return Coverage(None, None, None, 0.0)
    error = float(distance.std(ddof=1) / np.sqrt(len(distance))) if len(distance) > 1 else 0.0
    return Coverage(float(distance.mean()), error, float(distance.max()), float((distance <= radius).mean()))


def newly_covered(before: FloatsN, batch: FloatsN, radius: float) -> NDArray[np.bool_]:
    """Which points (N,) come within ``radius`` by the batch and were not before."""
    return (batch <= radius) & (before > radius)


def overlap(mine: NDArray[np.bool_], other: NDArray[np.bool_]) -> float | None:
    """Share of the points of ``other`` that ``mine`` holds too, in [0, 1]; None where ``other`` is empty."""
    return float((mine & other).sum() / other.sum()) if other.any() else None


def cells(points: FloatsND, before: FloatsN, batch: FloatsKD) -> FloatsN:
    """Share of points nearer to each sample of the batch than to any other and to any labelled one, (n,).

    ``before`` (N,) is the distance to the nearest labelled sample; ties go to the labelled, then to the first.
    """
    if len(batch) == 0 or len(points) == 0:
        return np.zeros(len(batch))
    index, squared = nearest_index(points, batch)
    won = index[np.sqrt(squared) < before]
    return np.bincount(won, minlength=len(batch)) / len(points)


def apart(batch: FloatsND) -> FloatsN:
    """Distance from each sample of a batch to the nearest other one, (n,); +inf for a single one."""
    squared = squared_distances(batch, batch)
    np.fill_diagonal(squared, np.inf)
    distance: FloatsN = np.sqrt(squared.min(axis=1, initial=np.inf))
    return distance


@dataclass(frozen=True)
class Plane:
    """The two directions of largest variance: ``mean`` (D,), ``axes`` (D, 2), share of variance of each (2,)."""

    mean: FloatsN
    axes: Floats
    explained: FloatsN

    def project(self, points: FloatsND) -> Floats:
        """Coordinates (N, 2)."""
        flat: Floats = (points.astype(np.float64) - self.mean) @ self.axes
        return flat


def principal_plane(points: FloatsND) -> Plane:
    """Principal components of at most the first 2,000 points, 512 where there are more than 512 dimensions.

    The largest entry of each axis is positive, so that the picture is not mirrored by chance. Directions that
    do not vary are 0.
    """
    width = points.shape[1]
    few = points[: _DRAWN if width <= _GRAM else _GRAM].astype(np.float64)
    mean = few.mean(axis=0) if len(few) else np.zeros(width)
    centred = few - mean
    small = width <= len(centred)
    values, vectors = np.linalg.eigh(centred.T @ centred if small else centred @ centred.T)
    order = np.argsort(values, kind="stable")[::-1][:2]
    total = float(np.maximum(values, 0).sum())
    axes, explained = np.zeros((width, 2)), np.zeros(2)
    for column, at in enumerate(order):
        axis = vectors[:, at] if small else centred.T @ vectors[:, at]
        length = float(np.linalg.norm(axis))
        if values[at] <= 1e-12 * total or length == 0:
            continue
        axis = axis / length
        axes[:, column] = axis * np.sign(axis[np.abs(axis).argmax()])
        explained[column] = values[at] / total
    return Plane(mean, axes, explained)
