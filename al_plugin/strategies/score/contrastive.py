"""Samples that look like labelled ones and are predicted otherwise."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsLC, FloatsLD, FloatsN, FloatsNC, FloatsND
from al_plugin.math.information import class_sums
from al_plugin.math.neighbours import nearest
from al_plugin.strategies.registry import Range, strategy

# log p is cut here: a neighbour's class that the model calls impossible counts as e⁻⁵⁰.
_FLOOR = -50.0
_BLOCK = 8192


@strategy(
    "cal",
    reference="Margatina, Vernikos, Barrault, Aletras (2021)",
    cost="O(N L D + N k C)",
    use="Fine-tuned text models with some labels; neighbours are searched among the labelled only.",
)
def cal(
    log_probs: FloatsNC,
    embeddings: FloatsND,
    labeled_log_probs: FloatsLC,
    labeled_embeddings: FloatsLD,
    *,
    neighbours: Annotated[int, Range(1, None)] = 10,
) -> FloatsN:
    """High where the k nearest labelled samples are predicted differently.

    s = (1/k) Σ_l KL(p_l ‖ p) = (1/k) Σ_l Σ_c p_lc (log p_lc - log p_c) in nats, k = min(neighbours, L).
    Range [0, ∞): 0 where all neighbours share the prediction, and everywhere without labels.
    """
    k = min(neighbours, len(labeled_embeddings))
    if k == 0:
        return np.zeros(len(log_probs))
    theirs = np.maximum(labeled_log_probs.astype(np.float64), _FLOOR)
    weights = np.exp(theirs)
    # Averaged over the neighbours, KL needs only their mean p and their mean Σ p log p.
    negative_entropy = (weights * theirs).sum(axis=1)
    scores = np.empty(len(log_probs))
    for start in range(0, len(log_probs), _BLOCK):
        rows = slice(start, start + _BLOCK)
        index = nearest(embeddings[rows], labeled_embeddings, k)
        own = np.maximum(log_probs[rows].astype(np.float64), _FLOOR)
        shared, entropies = np.zeros_like(own), np.zeros(len(own))
        for column in index.T:
            shared += weights[column]
            entropies += negative_entropy[column]
        shared *= own
        scores[rows] = (entropies - class_sums(shared)) / k
    return np.maximum(scores, 0.0, out=scores)
