"""The best centers with outliers, by integer programs: for small sets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from al_plugin.axes import Floats, FloatsKD, FloatsN, FloatsND, IntsN, Picks

Flags = NDArray[np.bool_]

_NUMBERS = 2**20  # differences formed at a time


@dataclass(frozen=True)
class Program:
    """The m distinct points of a set: squared distances, also to the nearest label, copies of each, first positions."""

    squared: Floats
    to_labeled: FloatsN
    copies: IntsN
    first: IntsN

    def reached(self, centers: Picks, outliers: int) -> float:
        """The least squared radius at which all but ``outliers`` of the points are covered."""
        nearest = np.minimum(self.squared[:, centers].min(axis=1, initial=np.inf), self.to_labeled)
        order = np.argsort(-nearest, kind="stable")
        beyond = np.cumsum(self.copies[order])  # points as far as this one or farther
        inside = np.flatnonzero(beyond > outliers)
        return float(nearest[order[inside[0]]]) if len(inside) else 0.0


def program(points: FloatsND, labeled: FloatsKD) -> Program:
    """Distances by differences, so that equal distances are equal and copies are at 0."""
    _, first, copies = np.unique(points, axis=0, return_index=True, return_counts=True)
    order = np.argsort(first)
    first, copies = first[order], copies[order]
    wide = points[first].astype(np.float64)
    to_labeled = np.full(len(wide), np.inf)
    rows = max(1, _NUMBERS // max(1, wide.shape[1]))
    for start in range(0, len(labeled), rows):
        block = labeled[start : start + rows].astype(np.float64)
        to_labeled = np.minimum(to_labeled, _squared(wide, block).min(axis=1))
    return Program(_squared(wide, wide), to_labeled, copies, first)


def _squared(points: FloatsND, others: FloatsKD) -> Floats:
    out = np.empty((len(points), len(others)))
    rows = max(1, _NUMBERS // max(1, others.size))
    for start in range(0, len(points), rows):
        gap = points[start : start + rows, None] - others[None]
        out[start : start + rows] = np.einsum("nkd,nkd->nk", gap, gap)
    return out


def best_centers(
    given: Program, n: int, outliers: int, start: Picks, *, lower: float, nodes: int
) -> tuple[Picks, float, float]:
    """At most n centers, their squared radius, and the squared radius below which no n centers get.

    Bisection over the sorted distinct distances, from 0 or a squared radius ``lower`` that is known to
    be out of reach, to the radius of ``start``. For each an integer program asks whether n balls leave
    at most ``outliers`` points. One that is not decided within ``nodes`` nodes of its search tree counts as
    a no for the search and as nothing for the bound; the two radii are equal where all were decided.
    The limit is a number of nodes, not of seconds: a slow machine gives the same centers. Positions
    are among the distinct points. Source: Sener & Savarese (2018), algorithm 2, in the form with one
    binary for each center and one slack for each point.
    """
    known = given.to_labeled[np.isfinite(given.to_labeled)]
    values = np.unique(np.concatenate([[0.0], given.squared.ravel(), known]))
    picks, radius = start, given.reached(start, outliers)
    low = int(np.searchsorted(values, lower)) - 1
    shown, high = low, int(np.searchsorted(values, radius))
    while high - low > 1:
        middle = (low + high) // 2
        answer = _decide(given, n, outliers, float(values[middle]), nodes)
        if isinstance(answer, np.ndarray):
            picks, radius = answer, given.reached(answer, outliers)
            high = int(np.searchsorted(values, radius))
        else:
            low = middle
            shown = middle if answer else shown
    return picks, radius, min(float(values[shown + 1]), radius)


def _decide(given: Program, n: int, outliers: int, squared: float, nodes: int) -> Picks | bool:
    """Centers that reach the squared radius, True where there are none, False where that stayed open."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array, eye_array, hstack

    rows = np.flatnonzero(given.to_labeled > squared)
    if given.copies[rows].sum() <= outliers:
        return np.empty(0, dtype=np.int64)
    holds = given.squared[rows] <= squared
    columns = np.flatnonzero(holds.any(axis=0))
    centers, points = len(columns), len(rows)
    cover = hstack([csr_array(holds[:, columns].astype(np.float64)), eye_array(points)])
    budget = np.concatenate([np.ones(centers), np.zeros(points)])
    spared = np.concatenate([np.zeros(centers), given.copies[rows].astype(np.float64)])
    # A point is left out whole or not at all: the slack follows from the centers, so only those are integers.
    # Nothing is minimised: the first set that will do ends the search, and that there is none shows sooner.
    found = milp(
        np.zeros(centers + points),
        constraints=[
            LinearConstraint(cover, lb=1.0),
            LinearConstraint(budget[None], ub=float(n)),
            LinearConstraint(spared[None], ub=float(outliers)),
        ],
        integrality=budget,
        bounds=Bounds(0.0, 1.0),
        options={"node_limit": nodes},
    )
    if found.x is not None:
        picks: Picks = columns[found.x[:centers] > 0.5]
        missed = ~holds[:, picks].any(axis=1)
        # Held to the question itself: a solver's tolerance is not an answer.
        if len(picks) <= n and given.copies[rows[missed]].sum() <= outliers:
            return picks
    return bool(found.status == 2)
