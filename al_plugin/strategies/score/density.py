"""Uncertainty that counts for more among many alike."""

from typing import Annotated

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsNC, FloatsND
from al_plugin.math.density import mean_similarity
from al_plugin.math.information import best, entropy, negative_margin
from al_plugin.strategies.registry import OneOf, Range, strategy


@strategy(
    "density_weighted",
    reference="Settles & Craven (2008), information density",
    cost="O(N (C + D))",
    use="Pools with outliers that an uncertainty score would spend labels on.",
    certain=True,
    expected_failures={"chunks_agree": "density is a mean over the whole pool"},
)
def density_weighted(
    log_probs: FloatsNC,
    embeddings: FloatsND,
    *,
    base: Annotated[str, OneOf(("entropy", "least_confidence", "margin"))] = "entropy",
    beta: Annotated[float, Range(0, None)] = 1.0,
) -> FloatsN:
    """High where a prediction is uncertain and the sample lies among many.

    s = φ(x) · ((1/N) Σ_u (1 + cos(x, u)) / 2)^β, φ the entropy, 1 - p₍₁₎, or 1 - (p₍₁₎ - p₍₂₎); β = 0 is
    φ alone. Range [0, log C], and [0, 1] for the other two.
    """
    scores: Floats = _doubt(log_probs, base) * mean_similarity(embeddings) ** beta
    return scores


def _doubt(log_probs: FloatsNC, base: str) -> FloatsN:
    if base == "entropy":
        return entropy(log_probs)
    if base == "least_confidence":
        return np.maximum(-np.expm1(best(log_probs)), 0.0)
    doubt: FloatsN = np.maximum(1.0 + negative_margin(log_probs), 0.0)
    return doubt
