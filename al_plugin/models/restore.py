"""From a model card and weights back to signals."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from al_plugin.axes import Floats


def model_signals(
    card: Mapping[str, Any], weights: Mapping[str, np.ndarray], features: Floats
) -> tuple[Floats, Floats]:
    """Log-probabilities and embeddings of ``features`` under the card's network."""
    # torch takes a second to import: round 0 has no model and does without.
    import torch

    from al_plugin.models.forward import forward
    from al_plugin.models.mlp import Mlp

    network = card["network"]
    model = Mlp(network["width"], network["classes"], hidden=network["hidden"], dropout=network["dropout"])
    model.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    return forward(model, features)


def head_of(weights: Mapping[str, np.ndarray]) -> tuple[Floats, Floats]:
    """Weight (C, D) and bias (C,) of the last linear layer."""
    return weights["head.weight"], weights["head.bias"]
