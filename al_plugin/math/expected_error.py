"""Expected error after one more label, by one Newton step on a linear softmax head."""

from collections.abc import Callable

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsNC, FloatsND
from al_plugin.math.fisher import (
    class_blocks,
    contrasts,
    form_coefficients,
    head_inputs,
    inverse,
    probabilities,
    quadratic_forms,
)

_ELEMENTS = 1 << 17
# Stands for log 0: exp gives 0, and 0 times it is 0, not NaN.
_FLOOR = -1e3

Risk = Callable[[Floats], Floats]


def log_risk(logits: Floats) -> Floats:
    """Entropy in nats of softmax over the axis before the last: the expected log loss."""
    shifted = logits - logits.max(axis=-2, keepdims=True)
    weights = np.exp(shifted)
    total = weights.sum(axis=-2)
    weights *= shifted
    risk: Floats = np.log(total) - weights.sum(axis=-2) / total
    return risk


def zero_one_risk(logits: Floats) -> Floats:
    """1 - max_c p_c of softmax over the axis before the last: the expected 0/1 loss."""
    weights = np.exp(logits - logits.max(axis=-2, keepdims=True))
    risk: Floats = 1.0 - 1.0 / weights.sum(axis=-2)
    return risk


RISKS: dict[str, Risk] = {"log": log_risk, "zero_one": zero_one_risk}


def newton_responses(log_probs: FloatsNC, hidden: FloatsND, prior_inverse: Floats) -> Floats:
    """Change of the head's weights by one Newton step on each possible label, (N, C labels, C, D + 1).

    At the optimum of the labelled loss only the new term has a gradient, (p - e_y) ⊗ h, so the step is
    (F + I(x))⁻¹ ((e_y - p) ⊗ h) = F⁻¹ H_x (I + G S)⁻¹ Uᵀ(e_y - p), S = H_xᵀ F⁻¹ H_x; ``prior_inverse`` F⁻¹ (m, m).
    """
    inputs, blocks, basis = head_inputs(hidden), class_blocks(log_probs), contrasts(log_probs.shape[1])
    (count, width), k = inputs.shape, blocks.shape[1]
    forms = quadratic_forms(inputs, form_coefficients(prior_inverse, width))
    residuals = np.eye(k + 1) - probabilities(log_probs)[:, :, None]
    steps = np.linalg.solve(np.eye(k) + blocks @ forms, basis.T @ residuals)
    columns = prior_inverse.reshape(k, width, k, width).transpose(3, 2, 0, 1).reshape(width, -1)
    # (N, k in, k out, D): what a unit of each class contrast at x does to the weights.
    unit = (inputs @ columns).reshape(count, k, k * width)
    moved = steps.swapaxes(1, 2) @ unit
    response: Floats = basis @ moved.reshape(count, k + 1, k, width)
    return response


def expected_risks(
    log_probs: FloatsNC,
    hidden: FloatsND,
    target_log_probs: FloatsNC,
    target_hidden: FloatsND,
    prior: Floats,
    risk: Risk,
) -> FloatsN:
    """Σ_y p_y · mean_u risk(p(. | u) after a Newton step on (x, y)) of each sample, (N,).

    ``prior`` F (m, m) in contrasts of the classes, targets (M, C) and (M, D). The head is taken to be at
    the optimum of the labelled loss with penalty λ/2 ‖W‖². O(N (C² D² + M C² D)) multiplications and
    N M C² exponentials; memory O(m²). Source: Roy & McCallum (2001); one Newton step in place of retraining.
    """
    classes, targets = log_probs.shape[1], len(target_hidden)
    prior_inverse = inverse(prior)
    places = np.ascontiguousarray(head_inputs(target_hidden).T)
    logs = np.maximum(target_log_probs.astype(np.float64), _FLOOR).T
    rows = max(1, _ELEMENTS // (classes * len(prior)))
    chunk = max(1, _ELEMENTS // classes**2)
    out = np.empty(len(log_probs))
    for start in range(0, len(log_probs), rows):
        block = slice(start, start + rows)
        responses = newton_responses(log_probs[block], hidden[block], prior_inverse)
        for position, (response, weights) in enumerate(zip(responses, probabilities(log_probs[block]), strict=True)):
            total = np.zeros(classes)
            for at in range(0, targets, chunk):
                logits = response @ places[:, at : at + chunk]
                logits += logs[:, at : at + chunk]
                total += risk(logits).sum(axis=1)
            out[start + position] = weights @ total / targets
    return out
