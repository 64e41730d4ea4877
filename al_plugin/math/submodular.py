"""Greedy maximisation of weighted coverage, lazily."""

import heapq
from collections.abc import Callable

import numpy as np

from al_plugin.axes import Floats, FloatsKD, FloatsN, FloatsND, Picks
from al_plugin.math.geometry import squared_distances

_BLOCK = 256
# Similarities that are kept rather than computed again: 1 GiB.
_KEPT = 2**27
# Gains are compared on a grid of 2⁻⁴⁰ of the greatest: copies of a sample tie exactly, whatever the
# last bits of a matrix product say, and ties go to the first position.
_GRID = 2.0**40

Similarity = Callable[[FloatsND, FloatsKD], Floats]


def unit_rows(points: FloatsND) -> FloatsND:
    """Rows scaled to length 1, float64; a row of zeros stays."""
    wide = points.astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    return wide / np.where(lengths > 0, lengths, 1.0)[:, None]


def cosine(targets: FloatsND, facilities: FloatsKD) -> Floats:
    """(1 + <t_i, f_j>) / 2 of unit rows, (N, K), in [0, 1]."""
    similarity: Floats = ((1.0 + targets @ facilities.T) / 2.0).clip(min=0.0)
    return similarity


def gaussian(sigma: float) -> Similarity:
    """The kernel exp(-‖t_i - f_j‖² / σ²), (N, K), in [0, 1]."""

    def similarity(targets: FloatsND, facilities: FloatsKD) -> Floats:
        values: Floats = np.exp(squared_distances(targets, facilities) / -(sigma**2))
        return values

    return similarity


def covered_by(targets: FloatsND, centers: FloatsKD, similarity: Similarity) -> FloatsN:
    """max_j sim(t_i, c_j), (N,); 0 without centers."""
    covered = np.zeros(len(targets))
    for start in range(0, len(centers), _BLOCK):
        np.maximum(covered, similarity(targets, centers[start : start + _BLOCK]).max(axis=1), out=covered)
    return covered


def greedy_cover(
    targets: FloatsND,
    facilities: FloatsKD,
    n: int,
    similarity: Similarity,
    *,
    covered: FloatsN | None = None,
    weights: FloatsN | None = None,
) -> tuple[Picks, FloatsN]:
    """n facilities that greedily maximise F(S) = Σ_i w_i max(covered_i, max_{j in S} sim(t_i, f_j)).

    ``targets`` (N, D), ``facilities`` (K, D), ``covered`` (N,) what is covered already (0 by default),
    ``weights`` (N,) at least 0 (1 by default).
    Returns positions (n,) among the facilities in order and F after each pick (n,). Lazy evaluation
    (Minoux 1978) gives the naive greedy's picks; F >= (1 - 1/e) of the optimum (Nemhauser, Wolsey,
    Fisher 1978). O(K N D) for the first pass; memory O(N · block), or 8 K N bytes where that is at most 1 GiB.
    """
    best = np.zeros(len(targets)) if covered is None else covered.copy()
    share = np.ones(len(targets)) if weights is None else weights.astype(np.float64)
    kept = _kept(targets, facilities, similarity)

    def columns(start: int, stop: int) -> Floats:
        return similarity(targets, facilities[start:stop]) if kept is None else kept[start:stop].T

    first = np.concatenate(
        [
            share @ np.maximum(columns(start, start + _BLOCK) - best[:, None], 0.0)
            for start in range(0, len(facilities), _BLOCK)
        ]
    )
    greatest = float(first.max())
    scale = _GRID / greatest if greatest > 0 else 1.0
    heap = [(-round(float(gain) * scale), position, 0) for position, gain in enumerate(first)]
    heapq.heapify(heap)
    picks = np.empty(n, dtype=np.int64)
    values = np.empty(n)
    for step in range(n):
        while True:
            key, position, seen = heapq.heappop(heap)
            similar = columns(position, position + 1)[:, 0]
            if seen == step:
                break
            gain = float(share @ np.maximum(similar - best, 0.0))
            # A gain never grows; rounding must not make it.
            heapq.heappush(heap, (max(key, -round(gain * scale)), position, step))
        picks[step] = position
        np.maximum(best, similar, out=best)
        values[step] = share @ best
    return picks, values


def _kept(targets: FloatsND, facilities: FloatsKD, similarity: Similarity) -> Floats | None:
    """All similarities (K, N) where they fit, so that none is computed twice; else None."""
    if len(targets) * len(facilities) > _KEPT:
        return None
    rows = np.empty((len(facilities), len(targets)))
    for start in range(0, len(facilities), _BLOCK):
        rows[start : start + _BLOCK] = similarity(targets, facilities[start : start + _BLOCK]).T
    return rows


def facility_location(targets: FloatsND, facilities: FloatsKD, n: int) -> tuple[Picks, FloatsN]:
    """``greedy_cover`` with the cosine of unit rows moved to [0, 1]."""
    return greedy_cover(targets, facilities, n, cosine)
