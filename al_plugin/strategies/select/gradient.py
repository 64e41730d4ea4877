"""Batches that are diverse in gradient space."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsNC, FloatsND, Picks
from al_plugin.math.gradient_sampling import factored_d2_sampling, predicted_residual
from al_plugin.strategies.registry import OneOf, strategy


@strategy(
    "badge",
    reference="Ash, Zhang, Krishnamurthy, Langford, Agarwal (2020)",
    cost="O(N (C + D)) by rejection, sequential O(n N (C + D)); the N x C x D gradients are never formed",
    use="Middle to large batches: uncertain and diverse without a knob.",
    greedy=True,
)
def badge(
    log_probs: FloatsNC,
    embeddings: FloatsND,
    n: int,
    rng: np.random.Generator,
    *,
    mode: Annotated[str, OneOf(("fast", "sequential"))] = "fast",
) -> Picks:
    """k-means++ seeding on the last layer's gradients at the predicted label.

    g = (p - e_ŷ) ⊗ [h, 1]; the first pick has the longest gradient, the others are drawn with
    probability proportional to the squared distance to the nearest pick. Where the two best classes
    tie, ŷ is the lower one. Certain predictions have
    g = 0, so at most one of them is picked while others are left. Both modes follow the same law;
    fast draws by rejection, sequential with one uniform number and one pass per pick.
    """
    return factored_d2_sampling(predicted_residual(log_probs), embeddings, n, rng, sequential=mode == "sequential")
