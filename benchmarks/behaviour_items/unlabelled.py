"""What training gains from unlabelled samples: accuracy beside ``single`` on the same labels."""

import numpy as np

from al_plugin.models.restore import model_signals
from al_plugin.models.task import Fitted
from al_plugin.rounds.evaluate import evaluate
from al_plugin.strategies import registry

from .committees import prediction
from .images import Images, Split, split, task_of
from .stats import Row

METHODS = ("ceal", "consistency")
MEASURES = ("accuracy", "nll")


def semi_supervised(data: Images, *, seeds: int, labels: int, epochs: int) -> list[Row]:
    """Accuracy and NLL of ``ceal`` and ``consistency`` less those of ``single``, paired by seed.

    ``pseudo`` counts the pool samples ceal labelled by itself, ``pseudo right`` is the share of right ones.
    """
    rows: list[Row] = []
    found = [gains(split(data, labels, seed), epochs) for seed in range(seeds)]
    for name in METHODS:
        rows.append({"labels": labels, "method": name})
        for measure in MEASURES:
            rows[-1][f"single {measure}"] = float(np.mean([one["single"][measure] for one in found]))
            rows[-1][f"{measure} - single"] = [one[name][measure] - one["single"][measure] for one in found]
        own, right = (float(np.mean([one[name][key] for one in found])) for key in ("pseudo", "right"))
        rows[-1] |= {"pseudo": own, "pseudo right": right / own if own else "-"}
    return rows


def gains(drawn: Split, epochs: int) -> dict[str, dict[str, float]]:
    """Measures by method on one draw."""
    task = task_of(drawn, epochs=epochs)
    single: Fitted = registry.load("train", "single").function(task)
    found = {"single": evaluate(prediction(single, drawn), drawn.test_labels)}
    for name in METHODS:
        fitted: Fitted = registry.load("train", name).function(task)
        found[name] = evaluate(prediction(fitted, drawn), drawn.test_labels)
        at = fitted.pseudo_positions
        found[name] |= {"pseudo": float(len(at)), "right": 0.0}
        if len(at):
            # ceal starts as the single network does, so these are its pseudo-labels.
            own = model_signals({"network": single.network}, single.weights, drawn.pool[at])[0].argmax(axis=1)
            found[name]["right"] = float((own == drawn.truth[at]).sum())
    return found
