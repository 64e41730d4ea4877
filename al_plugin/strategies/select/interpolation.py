"""Samples whose prediction a small step towards labelled ones would change."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsCD, FloatsLD, FloatsNC, FloatsND, IntsL, Picks
from al_plugin.math.information import negative_margin
from al_plugin.math.interpolation import class_means, flipped
from al_plugin.math.representatives import nearest_to_centers
from al_plugin.strategies.registry import Range, strategy


@strategy(
    "alfa_mix",
    reference="Parvaneh, Abbasnejad, Teney, Haffari, van den Hengel, Shi (2022)",
    cost="O(N C² D) for the candidates, O(M n D) per k-means iteration over M of them",
    use="Low and middle budgets with a linear head: samples with features the labelled ones lack.",
)
def alfa_mix(
    log_probs: FloatsNC,
    embeddings: FloatsND,
    labeled_embeddings: FloatsLD,
    labels: IntsL,
    head_weight: FloatsCD,
    n: int,
    rng: np.random.Generator,
    *,
    epsilon: Annotated[float, Range(0, None)] = 0.2,
) -> Picks:
    """Of the samples whose predicted class flips on a small step towards a class mean, a diverse batch.

    A sample z is eligible if argmax_c changes at z + α ∘ (z* - z) for the mean z* of some labelled class;
    α = (ε/√D) ‖z* - z‖ g / (‖g‖ (z* - z)) per dimension, cut to [0, 1], g the gradient of the loss at the
    predicted class, ε = ``epsilon``. n clusters by k-means of those, from each the sample nearest its
    center, smallest margin first. Where fewer than n are eligible all are taken, then the smallest margins
    of the rest. A class without a label has no mean.
    """
    closest = np.argsort(-negative_margin(log_probs), kind="stable")
    anchors = class_means(labeled_embeddings, labels)
    found = flipped(log_probs, embeddings, anchors, head_weight, epsilon / np.sqrt(embeddings.shape[1]))
    eligible = closest[found[closest]]
    if len(eligible) <= n:
        return np.concatenate([eligible, closest[~found[closest]]])[:n]
    picks: Picks = eligible[nearest_to_centers(embeddings[eligible], n, rng)]
    return picks
