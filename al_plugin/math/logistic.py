"""Logistic regression by Newton's method."""

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsND

_STEPS = 100


def fit_logistic(
    features: FloatsND, targets: np.ndarray, weights: FloatsN, *, penalty: float, start: Floats | None = None
) -> Floats:
    """Coefficients and intercept (D + 1,) that minimise Σ_i w_i log(1 + e^(-y_i (β·x_i + b))) + penalty/2 ‖β‖².

    ``targets`` (N,) of bool, y = 1 or -1; both values occur. ``weights`` (N,) are positive. The intercept
    is not penalised. Newton's method with halved steps from ``start`` (0 by default), until the decrement
    is below 1e-10 of the loss, and one more. O(N D² + D³) per step.
    """
    design = np.concatenate([features.astype(np.float64), np.ones((len(features), 1))], axis=1)
    signs = np.where(targets, 1.0, -1.0)
    ridge = np.full(design.shape[1], penalty)
    ridge[-1] = 0.0
    beta = np.zeros(design.shape[1]) if start is None else start.copy()
    value = _loss(design, signs, weights, ridge, beta)
    for _ in range(_STEPS):
        # sigmoid of minus the signed logit, without overflow.
        doubt = np.exp(-np.logaddexp(0.0, signs * (design @ beta)))
        gradient = ridge * beta - design.T @ (weights * signs * doubt)
        curvature = design.T @ (design * (weights * doubt * (1.0 - doubt))[:, None])
        # Far from the optimum every weight may round to 0: a trace of the unit matrix keeps it solvable.
        diagonal = np.diagonal(curvature) + ridge
        curvature[np.diag_indices_from(curvature)] = diagonal + 1e-12 * max(float(diagonal.max()), 1.0)
        direction = np.linalg.solve(curvature, gradient)
        decrement = float(gradient @ direction)
        length = 1.0
        while (found := _loss(design, signs, weights, ridge, beta - length * direction)) > value and length > 1e-10:
            length /= 2.0
        beta, value = beta - length * direction, found
        if decrement <= 1e-10 * max(value, 1.0):
            break
    return beta


def logits(features: FloatsND, beta: Floats) -> FloatsN:
    """β·x + b, (N,), float64; copies of a row get the same number to the last bit."""
    values: FloatsN = np.vecdot(features.astype(np.float64), beta[:-1]) + beta[-1]
    return values


def _loss(design: FloatsND, signs: FloatsN, weights: FloatsN, ridge: Floats, beta: Floats) -> float:
    loss = weights * np.logaddexp(0.0, -signs * (design @ beta))
    return float(loss.sum() + 0.5 * (ridge * beta**2).sum())
