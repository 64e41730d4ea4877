"""Covering points by balls of one radius, on the sparse graph of who lies in whose ball."""

import numpy as np

from al_plugin.axes import FloatsN, FloatsND, Ints, IntsN, Picks
from al_plugin.math.geometry import squared_distances

_BLOCK = 1024
# Rows that stand for the pool where a quantile or a density is estimated.
_SAMPLE = 1000


def ball_graph(points: FloatsND, radius: float) -> tuple[Ints, Ints]:
    """Neighbours nearer than ``radius`` in compressed rows: starts (N + 1,) and positions (edges,).

    Every point lies in its own ball. Memory in proportion to the edges.
    """
    starts, found = [0], []
    for start in range(0, len(points), _BLOCK):
        near = squared_distances(points[start : start + _BLOCK], points) < radius**2
        near[np.arange(len(near)), np.arange(start, start + len(near))] = True
        rows, columns = np.nonzero(near)
        found.append(columns.astype(np.int32))
        starts.extend((starts[-1] + np.cumsum(np.bincount(rows, minlength=len(near)))).tolist())
    return np.array(starts), np.concatenate(found)


def greedy_balls(starts: Ints, neighbours: Ints, covered: np.ndarray, n: int) -> tuple[Picks, Ints]:
    """n points whose balls greedily cover most points that no ball covers yet.

    The graph is that of ``ball_graph``; ``covered`` (N,) of bool is where labelled samples reach. Ties go
    to the first position. Once all is covered, covering starts anew beside the points picked. Returns
    picks (n,) and the points that each newly covered (n,). O(edges + n N); at least (1 - 1/e) of the
    most that n balls cover (Nemhauser, Wolsey, Fisher 1978).
    """
    done, free = covered.copy(), np.ones(len(covered), dtype=np.bool_)
    degree = _degrees(starts, neighbours, done)
    picks, gains = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    for step in range(n):
        pick = int(np.where(free, degree, -1).argmax())
        if degree[pick] == 0:
            done = ~free
            degree = _degrees(starts, neighbours, done)
            pick = int(np.where(free, degree, -1).argmax())
        picks[step], gains[step], free[pick] = pick, degree[pick], False
        ball = neighbours[starts[pick] : starts[pick + 1]]
        for point in ball[~done[ball]]:
            # The graph is symmetric: who covers the point is whom the point covers.
            degree[neighbours[starts[point] : starts[point + 1]]] -= 1
        done[ball] = True
    return picks, gains


def pure_radius(points: FloatsND, groups: IntsN, purity: float) -> float:
    """Largest radius at which a share ``purity`` of balls holds points of the ball's own group only.

    A ball is pure up to the nearest point of another group, so this is the (1 - purity) quantile of
    those distances, over at most 1,000 evenly spaced balls. inf with one group.
    Source: Yehuda, Dekel, Hacohen, Weinshall (2022).
    """
    rows = _spaced(len(points))
    gaps = np.full(len(rows), np.inf)
    for start in range(0, len(points), _BLOCK):
        block = slice(start, start + _BLOCK)
        squared = squared_distances(points[rows], points[block])
        squared[groups[rows][:, None] == groups[block][None, :]] = np.inf
        np.minimum(gaps, squared.min(axis=1), out=gaps)
    ordered: FloatsN = np.sort(gaps)
    return float(np.sqrt(ordered[min(int((1.0 - purity) * len(ordered)), len(ordered) - 1)]))


def sparse_radius(points: FloatsND, radius: float, edges: int) -> float:
    """``radius``, or so much less that about ``edges`` pairs are nearer: a quantile of sampled distances."""
    rows = _spaced(len(points))
    squared = squared_distances(points[rows], points[rows])
    share = min(edges / max(len(points), 1) ** 2, 1.0)
    flat = np.sort(squared, axis=None)
    limit = float(np.sqrt(flat[min(int(share * len(flat)), len(flat) - 1)]))
    return radius if (squared < radius**2).mean() <= share else limit


def _degrees(starts: Ints, neighbours: Ints, done: np.ndarray) -> Ints:
    """Points in each ball that no ball covers yet, (N,)."""
    open_edges = np.concatenate([[0], np.cumsum(~done[neighbours])])
    degrees: Ints = open_edges[starts[1:]] - open_edges[starts[:-1]]
    return degrees


def _spaced(total: int) -> IntsN:
    return np.unique(np.linspace(0, total - 1, min(total, _SAMPLE)).astype(np.int64))
