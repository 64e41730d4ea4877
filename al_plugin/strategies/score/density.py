"""Uncertainty that counts for more where the pool is dense."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsN, FloatsNC, FloatsND
from al_plugin.math import information
from al_plugin.math.density import mean_similarity
from al_plugin.strategies.registry import OneOf, Range, strategy


@strategy(
    "density_weighted",
    reference="Settles & Craven (2008), information density",
    cost="O(N (C + D))",
    use="Small batches on pools with outliers, which plain uncertainty would ask first.",
    certain=True,
    expected_failures={"chunks_agree": "density is that of the whole pool"},
)
def density_weighted(
    log_probs: FloatsNC,
    embeddings: FloatsND,
    *,
    base: Annotated[str, OneOf(("entropy", "least_confidence", "margin"))] = "entropy",
    beta: Annotated[float, Range(0, None)] = 1.0,
) -> FloatsN:
    """High where the prediction is in doubt and the sample resembles many others.

    s = φ · [ 1/N Σ_u (1 + cos(x, u)) / 2 ]^β over all samples u of the pool, x included, with φ >= 0: the entropy in
    nats, -log max_c p_c, or 1 - (p₍₁₎ - p₍₂₎). β = 0 is φ alone. Range [0, log C], for margin [0, 1]:
    0 for a certain prediction.
    """
    density = mean_similarity(embeddings)
    scores: FloatsN = _doubt(log_probs, base) * density**beta
    return scores


def _doubt(log_probs: FloatsNC, base: str) -> FloatsN:
    if base == "entropy":
        return information.entropy(log_probs)
    if base == "least_confidence":
        least: FloatsN = np.maximum(0.0 - information.best(log_probs), 0.0)
        return least
    first, second = information.top_two(log_probs)
    # 1 - p1 + p2 without cancellation at certainty.
    doubt: FloatsN = np.maximum(np.exp(second) - np.expm1(first), 0.0)
    return doubt
