"""Laplace's approximation of the posterior of a softmax layer."""

import numpy as np

from al_plugin.axes import Floats, FloatsCD, FloatsLC, FloatsLD

# C D up to which the precision matrix is formed: 200 MB and a few seconds there.
EXACT = 5000


def softmax_precision(probs: FloatsLC, inputs: FloatsLD, precision: float) -> Floats:
    """Λ = Σ_l (diag p_l - p_l p_lᵀ) ⊗ x_l x_lᵀ + precision · I, (C D, C D), float64.

    The generalised Gauss-Newton matrix of the summed cross-entropy, here its Hessian, plus that of
    the prior; row c D + d belongs to the weight of class c and input d. Symmetric, positive definite.
    """
    classes, width = probs.shape[1], inputs.shape[1]
    matrix = np.empty((classes, width, classes, width))
    for c in range(classes):
        for other in range(c, classes):
            spread = probs[:, c] * ((c == other) - probs[:, other])
            matrix[c, :, other] = inputs.T @ (spread[:, None] * inputs)
            matrix[other, :, c] = matrix[c, :, other].T
    flat = matrix.reshape(classes * width, classes * width)
    flat[np.diag_indices_from(flat)] += precision
    return flat


def laplace_draws(
    mode: FloatsCD, inputs: FloatsLD, draws: int, rng: np.random.Generator, *, precision: float, exact: int = EXACT
) -> Floats:
    """Deviations from the mode (T, C, D), float64, of T draws from N(mode, Λ⁻¹).

    ``mode`` (C, D) are the weights, ``inputs`` (L, D) what they are multiplied with; the bias is a
    column of ones. Λ is ``softmax_precision`` while C D <= ``exact``, by Cholesky: O((C D)³). Beyond,
    its sum is replaced by the Kronecker product (1/L) Σ_l (diag p_l - p_l p_lᵀ) ⊗ Σ_l x_l x_lᵀ with
    the prior kept exact: O(C³ + D³). It forgets which sample was sure of which class, so it is only
    equal where all labelled samples have the same prediction.
    Source: MacKay (1992); Ritter, Botev, Barber (2018) for the Kronecker factors.
    """
    noise = rng.standard_normal((draws, *mode.shape))
    logits = inputs @ mode.T
    logits -= logits.max(axis=1, keepdims=True)
    probs = np.exp(logits)
    probs /= probs.sum(axis=1, keepdims=True)
    if mode.size > exact:
        return _kronecker_draws(probs, inputs, noise, precision)
    lower = np.linalg.cholesky(softmax_precision(probs, inputs, precision))
    # Λ = L Lᵀ, so that L⁻ᵀ z has the covariance Λ⁻¹.
    solved: Floats = np.linalg.solve(lower.T, noise.reshape(draws, -1).T)
    return np.ascontiguousarray(solved.T).reshape(noise.shape)


def _kronecker_draws(probs: FloatsLC, inputs: FloatsLD, noise: Floats, precision: float) -> Floats:
    samples = max(len(probs), 1)
    of_classes = (np.diag(probs.sum(axis=0)) - probs.T @ probs) / samples
    class_values, class_vectors = np.linalg.eigh(of_classes)
    input_values, input_vectors = np.linalg.eigh(inputs.T @ inputs)
    # Rounding may leave eigenvalues of a singular matrix a little below 0.
    spread = np.outer(np.maximum(class_values, 0.0), np.maximum(input_values, 0.0)) + precision
    draws: Floats = class_vectors @ (noise / np.sqrt(spread)) @ input_vectors.T
    return draws
