"""Uncertainty of a single model's prediction."""

import numpy as np

from al_plugin.axes import FloatsN, FloatsNC
from al_plugin.math import information
from al_plugin.strategies.registry import strategy


@strategy(
    "least_confidence",
    reference="Lewis & Gale (1994); Culotta & McCallum (2005)",
    cost="O(N C)",
    use="Few classes, calibrated model; looks at the best class only.",
    certain=True,
)
def least_confidence(log_probs: FloatsNC) -> FloatsN:
    """High where the best class is improbable.

    s = -log max_c p_c, the order of 1 - max_c p_c without its ties at saturation.
    Range [0, log C]: 0 for a certain prediction, log C for the uniform one.
    """
    scores = information.best(log_probs)
    np.subtract(0.0, scores, out=scores)  # 0 - x, since -0.0 is not 0.0 in a file
    return np.maximum(scores, 0.0, out=scores)


@strategy(
    "margin",
    reference="Scheffer, Decomain, Wrobel (2001); Joshi, Porikli, Papanikolopoulos (2009)",
    cost="O(N C)",
    use="The default cheap score once every class has a few labels.",
    certain=True,
)
def margin(log_probs: FloatsNC) -> FloatsN:
    """High where the two best classes are about equally probable.

    s = -(p₍₁₎ - p₍₂₎). Range [-1, 0]: 0 iff the two best classes tie, -1 for a certain prediction.
    """
    return information.negative_margin(log_probs)


@strategy(
    "entropy",
    reference="Shannon (1948); Holub, Perona, Burl (2008)",
    cost="O(N C)",
    use="Retrained deep nets at middle and high budgets; weak with many classes or redundancy.",
    certain=True,
)
def entropy(log_probs: FloatsNC) -> FloatsN:
    """High where the predicted distribution is spread over many classes.

    s = -Σ_c p_c log p_c in nats, with 0·log 0 = 0. Range [0, log C].
    """
    return information.entropy(log_probs)


@strategy(
    "ratio",
    reference="Settles (2009), ratio form of best-versus-second-best",
    cost="O(N C)",
    use="As margin, where the total of the two best should not matter.",
    certain=True,
)
def ratio(log_probs: FloatsNC) -> FloatsN:
    """High where the second best class is nearly as probable as the best.

    s = p₍₂₎ / p₍₁₎. Range [0, 1]: 1 iff the two best classes tie, 0 for a certain prediction.
    """
    return information.in_blocks(_ratio, log_probs)


def _ratio(block: FloatsNC) -> FloatsN:
    first, second = information.top_two(block)
    return np.exp(second - first)
