"""A linear softmax head after one more label, by a few steps instead of training it again.

The head is taken to stand at the minimum of the labelled loss plus λ/2 ‖W‖². A plain Newton step for a
label that surprises goes far too far, and the mean of the steps over the labels lacks a term as large as
what is left of them: ranks by it can be the reverse of those by retraining. So the step is shortened where
the sample's own loss asks for it, and steps from the true gradient follow, with the same matrix and the
true curvature along them. They need no label of a labelled sample: Σ_l (p_l - e_l) ⊗ h_l is -λW at the minimum.
"""

from dataclasses import dataclass

import numpy as np

from al_plugin.axes import Floats, FloatsNC, FloatsND
from al_plugin.math.fisher import class_blocks, contrasts, head_inputs, quadratic_forms, woodbury_cores
from al_plugin.math.labeled_head import (
    LabeledHead,
    columns,
    labeled_curvatures,
    labeled_gradients,
    softmax,
    variance,
)

# The shortened step is the start of others: its length need not be exact.
_HALVINGS = 10


@dataclass(frozen=True)
class _Samples:
    """Some samples with everything that does not change from step to step."""

    inputs: FloatsND
    logs: Floats
    forms: Floats
    blocks: Floats
    cores: Floats
    unit: Floats


def label_responses(head: LabeledHead, log_probs: FloatsNC, hidden: FloatsND, steps: int) -> Floats:
    """Change of the head's weights by each possible label of each sample, (N, C labels, C, D + 1).

    First -(F + I(x))⁻¹∇ = F⁻¹ H_x (I + G S)⁻¹ Uᵀ(e_y - p), S = H_xᵀ F⁻¹ H_x, times the t in [0, 1] for
    which the labelled loss with its penalty, to second order, plus the sample's own loss is least. Then
    ``steps`` times d = -(F + I(x))⁻¹∇ with the gradient and times -∇d / dᵀ∇²d, both at the place reached; for
    many steps it is the head trained anew. Per sample and step O(C m² + C² L D) multiplications and C² L
    exponentials, memory O(C² L).
    """
    samples, truth = _samples(head, log_probs, hidden), np.eye(log_probs.shape[1])
    (count, width), k = samples.inputs.shape, len(truth) - 1
    residuals = contrasts(k + 1).T @ (truth - softmax(samples.logs))
    first = np.linalg.solve(np.eye(k) + samples.blocks @ samples.forms, residuals)
    first *= _lengths(samples, first)[:, None, :]
    moved = first.swapaxes(1, 2) @ samples.unit
    for _ in range(steps):
        moved += _descent(head, samples, moved)
    response: Floats = contrasts(k + 1) @ moved.reshape(count, k + 1, k, width)
    return response


def _samples(head: LabeledHead, log_probs: FloatsNC, hidden: FloatsND) -> _Samples:
    inputs, blocks = head_inputs(hidden), class_blocks(log_probs)
    (count, width), k = inputs.shape, blocks.shape[1]
    forms = quadratic_forms(inputs, head.coefficients)
    folded = head.inverse.reshape(k, width, k, width).transpose(3, 2, 0, 1).reshape(width, -1)
    # F⁻¹ H_x as rows: what a unit of each class contrast at x does to all weights, (N, k, m).
    unit = (inputs @ folded).reshape(count, k, k * width)
    logs = columns(log_probs, hidden)[1].T[:, :, None]
    return _Samples(inputs, logs, forms, blocks, woodbury_cores(forms, blocks), unit)


def _lengths(samples: _Samples, steps: Floats) -> Floats:
    """The t in [0, 1] at which t²/2 vᵀSv - log p_y(t) is least, (N, C labels), to 2⁻¹⁰ by halving: it is convex."""
    at_sample = samples.forms @ steps
    curvature = (steps * at_sample).sum(axis=1)
    change = contrasts(samples.logs.shape[1]) @ at_sample
    own = np.einsum("nyy->ny", change)
    low, high = np.zeros_like(curvature), np.ones_like(curvature)
    middle: Floats = high
    for _ in range(_HALVINGS + 1):
        probs = softmax(samples.logs + middle[:, None, :] * change)
        rising = middle * curvature + (probs * change).sum(axis=1) - own > 0
        high, low = np.where(rising, middle, high), np.where(rising, low, middle)
        middle = (low + high) / 2.0
    return middle


def _descent(head: LabeledHead, samples: _Samples, moved: Floats) -> Floats:
    """One step from ``moved`` (N, C labels, m) on the loss of the labelled samples and (x, y)."""
    classes = moved.shape[1]
    basis = contrasts(classes)
    own = softmax(samples.logs + _at_samples(samples, basis, moved))
    others, pull = labeled_gradients(head, basis, moved)
    residuals = (basis.T @ (own - np.eye(classes))).swapaxes(1, 2)
    gradient = head.penalty * moved + (residuals[..., None] * samples.inputs[:, None, None, :]).reshape(moved.shape)
    gradient += pull
    down = gradient @ head.inverse
    at_sample = basis.T @ _at_samples(samples, basis, down)
    down -= (at_sample.swapaxes(1, 2) @ samples.cores) @ samples.unit
    curvature = head.penalty * (down * down).sum(axis=2) + variance(own, _at_samples(samples, basis, down))
    curvature += labeled_curvatures(head, basis, others, down)
    slope = (gradient * down).sum(axis=2)
    lengths = np.divide(slope, curvature, out=np.zeros_like(slope), where=curvature > 0)
    change: Floats = -lengths[:, :, None] * down
    return change


def _at_samples(samples: _Samples, basis: Floats, moved: Floats) -> Floats:
    """Change of each sample's own logits, (N, C, C labels)."""
    count, classes = moved.shape[:2]
    at = moved.reshape(count, classes, classes - 1, -1) @ samples.inputs[:, None, :, None]
    changed: Floats = basis @ at[..., 0].swapaxes(1, 2)
    return changed
