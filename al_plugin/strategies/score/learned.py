"""Scores that a trained module gives beside the predictions."""

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsNC
from al_plugin.math.information import entropy
from al_plugin.strategies.registry import strategy


@strategy(
    "loss_prediction",
    reference="Yoo & Kweon (2019)",
    cost="O(N); the signal is a forward pass of the loss module",
    use="Any task with a loss; train with a method that gives predicted_loss.",
)
def loss_prediction(predicted_loss: FloatsN) -> FloatsN:
    """High where a learned module expects a large loss.

    s = l̂(x), whose order has a meaning and whose unit has none. Range (-∞, ∞).
    """
    scores: Floats = predicted_loss.astype(np.float64)
    return scores


@strategy(
    "vaal",
    reference="Sinha, Ebrahimi, Darrell (2019)",
    cost="O(N); the signal is a forward pass of encoder and discriminator",
    use="Samples unlike the labelled ones, whatever the task; train with a method that gives discriminator.",
)
def vaal(discriminator: FloatsN) -> FloatsN:
    """High where a discriminator takes the sample for unlabelled.

    s = 1 - D(x), D the probability of being labelled. Range [0, 1].
    """
    scores: Floats = 1.0 - discriminator.astype(np.float64)
    return scores


@strategy(
    "mal",
    reference="Ebrahimi, Gan, Chen, Biamby, Salahi, Laielli, Zhu, Darrell (2021), minimax active learning",
    cost="O(N C)",
    use="Uncertain samples unlike the labelled ones; train with a method that gives discriminator.",
)
def mal(log_probs: FloatsNC, discriminator: FloatsN) -> FloatsN:
    """First the samples that a discriminator takes for unlabelled, then the others, each by entropy.

    s = H(p) in nats where D(x) < 1/2, else H(p) - log C - 1. Range [-log C - 1, -1] and [0, log C].
    """
    scores = entropy(log_probs)
    scores[discriminator >= 0.5] -= np.log(log_probs.shape[1]) + 1.0
    return scores
