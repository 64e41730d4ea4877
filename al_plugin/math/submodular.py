"""Greedy maximisation of facility location, lazily."""

import heapq

import numpy as np

from al_plugin.axes import FloatsKD, FloatsN, FloatsND, Picks

_BLOCK = 1024
# Gains are compared on a grid of 2⁻⁴⁰ of the greatest: copies of a sample tie exactly, whatever the
# last bits of a matrix product say, and ties go to the first position.
_GRID = 2.0**40


def unit_rows(points: FloatsND) -> FloatsND:
    """Rows scaled to length 1, float64; a row of zeros stays."""
    wide = points.astype(np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", wide, wide))
    return wide / np.where(lengths > 0, lengths, 1.0)[:, None]


def facility_location(targets: FloatsND, facilities: FloatsKD, n: int) -> tuple[Picks, FloatsN]:
    """n facilities that greedily maximise F(S) = Σ_i max_{j in S} (1 + <t_i, f_j>) / 2.

    ``targets`` (N, D) and ``facilities`` (K, D) have unit rows, so similarity is the cosine moved to
    [0, 1]. Returns positions (n,) among the facilities in order and F after each pick (n,).
    Lazy evaluation (Minoux 1978) gives the naive greedy's picks; F >= (1 - 1/e) of the optimum
    (Nemhauser, Wolsey, Fisher 1978). O(K N D) for the first pass, memory O(N · block).
    """
    covered = np.zeros(len(targets))
    first = np.concatenate(
        [
            ((1.0 + targets @ facilities[start : start + _BLOCK].T) / 2.0).clip(min=0.0).sum(axis=0)
            for start in range(0, len(facilities), _BLOCK)
        ]
    )
    scale = _GRID / max(float(first.max()), 1e-300)
    heap = [(-round(float(gain) * scale), position, 0) for position, gain in enumerate(first)]
    heapq.heapify(heap)
    picks = np.empty(n, dtype=np.int64)
    values = np.empty(n)
    for step in range(n):
        while True:
            key, position, seen = heapq.heappop(heap)
            similarity = ((1.0 + targets @ facilities[position]) / 2.0).clip(min=0.0)
            if seen == step:
                break
            gain = float(np.maximum(similarity - covered, 0.0).sum())
            # A gain never grows; rounding must not make it.
            heapq.heappush(heap, (max(key, -round(gain * scale)), position, step))
        picks[step] = position
        np.maximum(covered, similarity, out=covered)
        values[step] = covered.sum()
    return picks, values
