"""Steps in embedding space that may change what a linear softmax head predicts."""

import numpy as np

from al_plugin.axes import Floats, FloatsCD, FloatsKD, FloatsLD, FloatsN, FloatsNC, FloatsND, IntsL
from al_plugin.math.gradient_sampling import gradient_residual

_ELEMENTS = 1 << 18


def class_means(embeddings: FloatsLD, labels: IntsL) -> FloatsKD:
    """Mean embedding of each class that has a label, in order of class index: (K, D), float64."""
    wide = embeddings.astype(np.float64)
    means = [wide[labels == label].mean(axis=0) for label in np.unique(labels)]
    return np.array(means).reshape(len(means), wide.shape[1])


def steps_towards(points: FloatsND, anchor: FloatsN, gradients: FloatsND, epsilon: float) -> FloatsND:
    """α ∘ (z* - z) of each point z for one anchor z* (D,), α in [0, 1] per dimension, (N, D).

    α = epsilon ‖z* - z‖ g / (‖g‖ (z* - z)), the first-order solution for the largest loss with gradient g,
    cut to [0, 1]: z + α ∘ (z* - z) lies between the point and the anchor in every dimension, and moves
    only where the way to the anchor is a way up the loss. Without a gradient it stays.
    Source: Parvaneh et al. (2022), eq. 6.
    """
    gaps = anchor - points
    lengths = np.sqrt(np.einsum("nd,nd->n", gradients, gradients))
    reach = epsilon * np.sqrt(np.einsum("nd,nd->n", gaps, gaps))
    reach = np.divide(reach, lengths, out=np.zeros_like(reach), where=lengths > 0)
    # α (z* - z) without the division by z* - z, which may be 0.
    moves = np.minimum(np.abs(gaps), reach[:, None] * np.abs(gradients))
    moves *= np.sign(gaps) * (np.sign(gaps) == np.sign(gradients))
    steps: FloatsND = moves
    return steps


def flipped(
    log_probs: FloatsNC, embeddings: FloatsND, anchors: FloatsKD, head_weight: FloatsCD, epsilon: float
) -> np.ndarray:
    """Whether the predicted class changes on the step towards some anchor, (N,) of bool.

    The logits of z + δ are log p(z) + W δ up to a constant, so the bias of the head is not needed and a
    step of 0 changes nothing. ``epsilon`` 0 gives none. O(K N C D).
    """
    weight = head_weight.astype(np.float64)
    found = np.zeros(len(log_probs), dtype=np.bool_)
    step = max(1, _ELEMENTS // max(weight.shape))
    for start in range(0, len(log_probs), step):
        rows = slice(start, start + step)
        found[rows] = _flipped(log_probs[rows], embeddings[rows], anchors, weight, epsilon)
    return found


def _flipped(logs: FloatsNC, points: FloatsND, anchors: FloatsKD, weight: Floats, epsilon: float) -> np.ndarray:
    wide, hidden = logs.astype(np.float64), points.astype(np.float64)
    gradients = gradient_residual(wide) @ weight
    before = wide.argmax(axis=1)
    found = np.zeros(len(wide), dtype=np.bool_)
    for anchor in anchors:
        moved = wide + steps_towards(hidden, anchor, gradients, epsilon) @ weight.T
        found |= moved.argmax(axis=1) != before
    return found
