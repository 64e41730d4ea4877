"""Which learning rates a network survives: the share of trainings that end at chance."""

import numpy as np

from al_plugin.models.task import Fitted
from al_plugin.rounds.evaluate import evaluate
from al_plugin.strategies import registry

from .committees import prediction
from .images import Images, split, task_of
from .stats import Row

# Ten classes of like size: a network that gives one answer is right in about a tenth.
CHANCE = 0.2


def learning_rate(data: Images, *, seeds: int, labels: int, epochs: int, rates: list[float]) -> list[Row]:
    """Test accuracy of ``single`` by learning rate, and how many of the seeds end at chance."""
    rows: list[Row] = []
    for rate in rates:
        found = []
        for seed in range(seeds):
            drawn = split(data, labels, seed)
            fitted: Fitted = registry.load("train", "single").function(task_of(drawn, epochs=epochs, lr=rate))
            found.append(evaluate(prediction(fitted, drawn), drawn.test_labels)["accuracy"])
        rows.append({"labels": labels, "lr": rate, "seeds": seeds, "at chance": sum(one < CHANCE for one in found)})
        rows[-1] |= {"worst accuracy": min(found), "median accuracy": float(np.median(found)), "accuracies": found}
    return rows
