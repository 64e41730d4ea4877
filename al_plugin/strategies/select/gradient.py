"""Batches that are diverse in gradient space."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsNC, FloatsND, Picks
from al_plugin.math.gradient_sampling import badge_picks, badge_picks_in_sequence, gradient_residual
from al_plugin.strategies.registry import OneOf, strategy


@strategy(
    "badge",
    reference="Ash, Zhang, Krishnamurthy, Langford, Agarwal (2020)",
    cost="about two passes of N (C + D), and O(n² (C + D)); the N x C x D gradients are never formed",
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
    probability proportional to the squared distance to the nearest pick. Certain predictions have
    g = 0, so at most one of them is picked while others are left. ``fast`` draws by rejection, ``sequential``
    by a pass over the pool per pick: the same law, other random numbers. Where the two best classes tie
    the predicted label is the lower one.
    """
    draw = badge_picks if mode == "fast" else badge_picks_in_sequence
    return draw(gradient_residual(log_probs), embeddings, n, rng)
