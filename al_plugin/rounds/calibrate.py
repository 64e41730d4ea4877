"""One temperature for the predictions of a trained model, from held-out samples."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from al_plugin.math.temperature import best_temperature
from al_plugin.models.restore import model_signals, scorer
from al_plugin.models.task import Fitted, TrainingTask


def calibrated(card: dict[str, Any], fitted: Fitted, task: TrainingTask) -> dict[str, Any]:
    """The card with the temperature of the model's prediction, and of the proxy's where one scores the pool."""

    def temperature(of: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> float:
        if task.held_features is None or task.held_labels is None:
            return 1.0
        return best_temperature(model_signals(of, weights, task.held_features)[0], task.held_labels)

    found = {**card, "calibration_temperature": temperature(card, fitted.weights)}
    own, own_weights = scorer(card, fitted.weights)
    if own is not card:
        found["network"] = {**card["network"], "proxy_calibration_temperature": temperature(own, own_weights)}
    return found
