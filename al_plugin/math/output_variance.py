"""Variance of the predicted probabilities, and what a label takes from it, by the delta method."""

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsNC, FloatsND, IntsN
from al_plugin.math.fisher import (
    class_blocks,
    form_coefficients,
    head_inputs,
    inverse,
    quadratic_forms,
    row_blocks,
    weighted_gram,
    woodbury_cores,
)


def pool_variance(log_probs: FloatsNC, hidden: FloatsND, counts: IntsN) -> Floats:
    """A with tr(A F⁻¹) the pool's mean variance of the probabilities, summed over classes, (m, m).

    A = mean_u Σ_c ∇p_c ∇p_cᵀ = mean_u (diag p - p pᵀ)² ⊗ h hᵀ in contrasts of the classes, row u
    counting ``counts``_u times. Source: Schein & Ungar (2007).
    """

    def squared(rows: slice) -> Floats:
        blocks = class_blocks(log_probs[rows])
        weighted: Floats = counts[rows, None, None] * (blocks @ blocks)
        return weighted

    total = weighted_gram(head_inputs(hidden), log_probs.shape[1] - 1, squared)
    total /= counts.sum()
    return total


def trace_reductions(log_probs: FloatsNC, hidden: FloatsND, prior: Floats, target: Floats) -> FloatsN:
    """tr(A F⁻¹) - tr(A (F + I(x))⁻¹) of each sample, (N,), never negative.

    It is tr(T K) with T = H_xᵀ F⁻¹ A F⁻¹ H_x and K of ``woodbury_cores``; ``prior`` F and ``target`` A
    (m, m). O(N m²) time, memory O(m²).
    """
    inverted, width = inverse(prior), hidden.shape[1] + 1
    near, far = (form_coefficients(square, width) for square in (inverted, inverted @ target @ inverted))
    out = np.empty(len(hidden))
    for rows in row_blocks(len(hidden), log_probs.shape[1]):
        inputs, blocks = head_inputs(hidden[rows]), class_blocks(log_probs[rows])
        cores = woodbury_cores(quadratic_forms(inputs, near), blocks)
        out[rows] = (cores * quadratic_forms(inputs, far)).sum(axis=(1, 2))
    return np.maximum(out, 0.0)
