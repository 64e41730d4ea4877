"""Labelled samples of a linear softmax head, and how a change of the head moves what it says of them."""

from dataclasses import dataclass

import numpy as np

from al_plugin.axes import Floats, FloatsLC, FloatsLD, FloatsNC, FloatsND
from al_plugin.math.fisher import form_coefficients, head_inputs, inverse, prior_information

_ELEMENTS = 1 << 17
# Stands for log 0: exp gives 0, and 0 times it is 0, not NaN.
_FLOOR = -1e3


@dataclass(frozen=True)
class LabeledHead:
    """Labelled samples as columns: [h, 1] (D + 1, L), log p and p (C, L); λ; F⁻¹ (m, m) and its forms."""

    places: Floats
    logs: Floats
    probs: Floats
    penalty: float
    inverse: Floats
    coefficients: Floats


def labeled_head(log_probs: FloatsLC, hidden: FloatsLD, penalty: float) -> LabeledHead:
    """What the labelled samples say of the head, F = λI + Σ_l I(x_l), λ = ``penalty``."""
    inverted = inverse(prior_information(log_probs, hidden, penalty))
    places, logs = columns(log_probs, hidden)
    coefficients = form_coefficients(inverted, hidden.shape[1] + 1)
    return LabeledHead(places, logs, softmax(logs), penalty, inverted, coefficients)


def columns(log_probs: FloatsNC, hidden: FloatsND) -> tuple[Floats, Floats]:
    """[h, 1] as columns (D + 1, N), and log p (C, N) without infinities, float64."""
    return np.ascontiguousarray(head_inputs(hidden).T), np.maximum(log_probs.astype(np.float64), _FLOOR).T


def softmax(logits: Floats) -> Floats:
    """Softmax over the axis before the last."""
    weights: Floats = logits - logits.max(axis=-2, keepdims=True)
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=-2, keepdims=True)
    return weights


def labeled_gradients(head: LabeledHead, basis: Floats, moved: Floats) -> tuple[Floats, Floats]:
    """Labelled samples' probabilities after each change (N, C labels, C, L) and Σ_l Uᵀ(p_l after - p_l) ⊗ [h_l, 1]."""
    count, classes = moved.shape[:2]
    others = np.empty((count, classes, *head.logs.shape))
    pull = np.empty_like(moved)
    for rows in _groups(head, moved):
        others[rows] = softmax(_at_labeled(head, basis, moved[rows]) + head.logs)
        pull[rows] = ((basis.T @ (others[rows] - head.probs)) @ head.places.T).reshape(pull[rows].shape)
    return others, pull


def labeled_curvatures(head: LabeledHead, basis: Floats, others: Floats, moved: Floats) -> Floats:
    """Σ_l variance under p_l of the change of its logits, (N, C labels): the curvature along ``moved``."""
    curvature = np.empty(moved.shape[:2])
    for rows in _groups(head, moved):
        curvature[rows] = variance(others[rows], _at_labeled(head, basis, moved[rows])).sum(axis=2)
    return curvature


def _groups(head: LabeledHead, moved: Floats) -> list[slice]:
    """Samples whose (C, C, L) temporaries stay in cache."""
    step = max(1, _ELEMENTS // max(1, moved.shape[1] * head.logs.size))
    return [slice(start, start + step) for start in range(0, len(moved), step)]


def _at_labeled(head: LabeledHead, basis: Floats, moved: Floats) -> Floats:
    """Change of the labelled samples' logits, (N, C labels, C, L)."""
    count, classes = moved.shape[:2]
    at = moved.reshape(-1, len(head.places)) @ head.places
    changed: Floats = basis @ at.reshape(count, classes, classes - 1, head.places.shape[1])
    return changed


def variance(probs: Floats, logits: Floats) -> Floats:
    """Variance over the axis before the last."""
    weighted = probs * logits
    mean = weighted.sum(axis=-2)
    weighted *= logits
    spread: Floats = weighted.sum(axis=-2) - mean**2
    np.maximum(spread, 0.0, out=spread)
    return spread
