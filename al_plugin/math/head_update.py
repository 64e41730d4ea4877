"""A linear softmax head after one more label, without training it again.

The head is taken to stand at the minimum of the labelled loss plus λ/2 ‖W‖². One Newton step for a label
that surprises goes far too far, and the mean of the steps over the labels misses a term as large as what
is left of them; so the step is shortened where the candidate's own loss asks for it, and a second step with
the same matrix follows, from the gradient at the labelled samples. Their labels are not needed for it:
Σ_l (p_l - e_l) ⊗ h_l at the minimum is -λW.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from al_plugin.axes import Floats, FloatsLC, FloatsLD, FloatsNC, FloatsND
from al_plugin.math.fisher import (
    class_blocks,
    contrasts,
    form_coefficients,
    head_inputs,
    inverse,
    prior_information,
    quadratic_forms,
    woodbury_cores,
)

ELEMENTS = 1 << 17
_HALVINGS = 45
# Stands for log 0: exp gives 0, and 0 times it is 0, not NaN.
_FLOOR = -1e3


@dataclass(frozen=True)
class LabeledHead:
    """Labelled samples as columns, ``places`` [h, 1] (D + 1, L) and ``logs`` (C, L); λ; F⁻¹ (m, m); its forms."""

    places: Floats
    logs: Floats
    penalty: float
    inverse: Floats
    coefficients: Floats


def labeled_head(log_probs: FloatsLC, hidden: FloatsLD, penalty: float) -> LabeledHead:
    """What the labelled samples say of the head, F = λI + Σ_l I(x_l)."""
    inverted = inverse(prior_information(log_probs, hidden, penalty))
    coefficients = form_coefficients(inverted, hidden.shape[1] + 1)
    return LabeledHead(*columns(log_probs, hidden), penalty, inverted, coefficients)


def columns(log_probs: FloatsNC, hidden: FloatsND) -> tuple[Floats, Floats]:
    """[h, 1] as columns (D + 1, N), and log p (C, N) without infinities, float64."""
    return np.ascontiguousarray(head_inputs(hidden).T), np.maximum(log_probs.astype(np.float64), _FLOOR).T


def softmax(logits: Floats) -> Floats:
    """Softmax over the axis before the last."""
    weights: Floats = np.exp(logits - logits.max(axis=-2, keepdims=True))
    weights /= weights.sum(axis=-2, keepdims=True)
    return weights


def column_chunks(count: int, classes: int) -> Iterator[slice]:
    """Slices of columns for which C² numbers each stay in cache."""
    step = max(1, ELEMENTS // classes**2)
    return (slice(start, start + step) for start in range(0, count, step))


def label_responses(head: LabeledHead, log_probs: FloatsNC, hidden: FloatsND) -> Floats:
    """Change of the head's weights by each possible label of each sample, (N, C labels, C, D + 1).

    First -(F + I(x))⁻¹∇ = F⁻¹ H_x (I + G S)⁻¹ Uᵀ(e_y - p), S = H_xᵀ F⁻¹ H_x, times the t in [0, 1] for
    which λ/2 ‖W‖² and the labelled loss, both to second order, and the candidate's own loss are least; then
    -(F + I(x))⁻¹ times the true gradient there. O(C m² + C² L D) multiplications and C² L exponentials a sample.
    """
    inputs, blocks, basis = head_inputs(hidden), class_blocks(log_probs), contrasts(log_probs.shape[1])
    (count, width), k = inputs.shape, blocks.shape[1]
    logs = np.maximum(log_probs.astype(np.float64), _FLOOR)[:, :, None]
    forms = quadratic_forms(inputs, head.coefficients)
    truth = np.eye(k + 1)
    steps = np.linalg.solve(np.eye(k) + blocks @ forms, basis.T @ (truth - softmax(logs)))
    steps *= _lengths(basis, logs, forms, steps)[:, None, :]
    folded = head.inverse.reshape(k, width, k, width).transpose(3, 2, 0, 1).reshape(width, -1)
    # F⁻¹ H_x as rows: what a unit of each class contrast at x does to all weights, (N, k, m).
    unit = (inputs @ folded).reshape(count, k, k * width)
    moved = steps.swapaxes(1, 2) @ unit
    residuals = (basis.T @ (softmax(logs + basis @ (forms @ steps)) - truth)).swapaxes(1, 2)
    gradients = head.penalty * moved + (residuals[..., None] * inputs[:, None, None, :]).reshape(moved.shape)
    for gradient, first in zip(gradients, moved, strict=True):
        gradient += _labeled_gradient(head, basis, first.reshape(k + 1, k, width)).reshape(gradient.shape)
    second = gradients @ head.inverse
    at_sample = second.reshape(count, k + 1, k, width) @ inputs[:, None, :, None]
    second -= (at_sample[..., 0] @ woodbury_cores(forms, blocks)) @ unit
    response: Floats = basis @ (moved - second).reshape(count, k + 1, k, width)
    return response


def _lengths(basis: Floats, logs: Floats, forms: Floats, steps: Floats) -> Floats:
    """The t in [0, 1] at which t²/2 vᵀSv - log p_y(t) is least, (N, C labels), by halving: it is convex."""
    at_sample = forms @ steps
    curvature = (steps * at_sample).sum(axis=1)
    change = basis @ at_sample
    own = np.einsum("nyy->ny", change)
    low, high = np.zeros_like(curvature), np.ones_like(curvature)
    middle = high
    for _ in range(_HALVINGS):
        probs = softmax(logs + middle[:, None, :] * change)
        rising = middle * curvature + (probs * change).sum(axis=1) - own > 0
        high, low = np.where(rising, middle, high), np.where(rising, low, middle)
        middle = (low + high) / 2.0
    return middle


def _labeled_gradient(head: LabeledHead, basis: Floats, moved: Floats) -> Floats:
    """Σ_l Uᵀ(p_l after - p_l before) ⊗ [h_l, 1] for changes of the weights (C labels, k, D + 1)."""
    total = np.zeros_like(moved)
    for chunk in column_chunks(head.places.shape[1], len(moved)):
        places, logs = head.places[:, chunk], head.logs[:, chunk]
        changed = softmax(basis @ (moved @ places) + logs) - softmax(logs)
        total += (basis.T @ changed) @ places.T
    return total
