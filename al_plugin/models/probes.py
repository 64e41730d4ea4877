"""Signals that a network gives when its weights or its inputs are disturbed, or its gradients are asked for."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from al_plugin.axes import Floats
from al_plugin.errors import ModelError
from al_plugin.models.rebuilt import rebuild

PROBES = ("output_deviations", "dropped_labels", "word_gradients")


def probed(
    name: str, card: Mapping[str, Any], weights: Mapping[str, np.ndarray], features: Floats, passes: int, seed: int
) -> np.ndarray:
    """The signal ``name`` of ``PROBES`` for ``features`` (N, width); ``passes`` draws, from ``seed``."""
    # torch takes a second to import: rounds without a model do without.
    from al_plugin.models.input_noise import dropped_labels, word_gradients
    from al_plugin.models.sensitivity import output_deviations

    if name == "word_gradients" and card["network"]["body"] != "mlp":
        raise ModelError(
            f"word_gradients are those of a perceptron's first layer, train.network is {card['network']['body']}",
            change="set train.network to mlp, or choose another score",
        )
    model = rebuild(card, weights)
    if name == "output_deviations":
        return output_deviations(model, features, passes, seed)
    if name == "dropped_labels":
        return dropped_labels(model, features, passes, seed)
    return word_gradients(model, features)
