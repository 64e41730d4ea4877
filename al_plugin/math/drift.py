"""Are two samples drawn from the same distribution?"""

from dataclasses import dataclass

import numpy as np

from al_plugin.axes import FloatsND


@dataclass(frozen=True)
class Shift:
    """Energy ``coefficient`` in [0, 1], 0 for the same distribution, and ``p`` of the permutation test."""

    coefficient: float
    p: float


def shift(first: FloatsND, second: FloatsND, rng: np.random.Generator, permutations: int = 999) -> Shift:
    """Compare two samples (n, D) and (m, D) by their energy distance; O((n + m)² (D + permutations)).

    ε = 2 E|X - Y| - E|X - X'| - E|Y - Y'| over all pairs, a row with itself included; the coefficient is
    ε / (2 E|X - Y|), 0 where all rows are equal. p = (1 + permutations with as large an ε) / (1 + permutations)
    over random relabellings, exact for any sizes and distribution: without a shift p <= α in at most α of
    cases. Distances are Euclidean, so features are standardised first. Source: Székely & Rizzo (2013).
    """
    rows = np.concatenate([first, second]).astype(np.float64)
    squares = (rows**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * rows @ rows.T, 0.0))
    np.fill_diagonal(distances, 0.0)
    # ε is -wᵀ D w with w = 1/n on the first sample and -1/m on the second.
    own = np.r_[np.full(len(first), 1.0 / len(first)), np.full(len(second), -1.0 / len(second))]
    weights = np.column_stack([own, *(rng.permutation(own) for _ in range(permutations))])
    energies = -np.einsum("ij,ij->j", weights, distances @ weights)
    between = distances[: len(first), len(first) :].mean()
    # Sums in another order differ in the last bits, and equal samples would count as smaller.
    reached = int((energies[1:] >= energies[0] - 1e-12 * max(between, 1e-300)).sum())
    coefficient = float(np.clip(energies[0] / (2.0 * between), 0.0, 1.0)) if between > 0 else 0.0
    return Shift(coefficient, (1 + reached) / (1 + permutations))
