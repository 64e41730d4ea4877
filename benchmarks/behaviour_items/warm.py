"""Rounds that start from the round before, shrunk and perturbed, beside rounds that start afresh."""

from dataclasses import replace

import numpy as np

from al_plugin.models.task import Fitted, Start
from al_plugin.rounds.evaluate import evaluate
from al_plugin.strategies.train.single import single

from .committees import prediction
from .images import Images, split, task_of
from .stats import Row

# Shrink and perturb; None: fresh weights.
ARMS: dict[str, tuple[float, float] | None] = {
    "fresh": None,
    "warm (1, 0)": (1.0, 0.0),
    "shrink, perturb (.6, .01)": (0.6, 0.01),
    "shrink, perturb (.4, .1)": (0.4, 0.1),
}


def warm_start(data: Images, *, seeds: int, step: int, rounds: int, epochs: int, loss: float) -> list[Row]:
    """After each round ``step`` further random labels; the same labels and seeds for all arms.

    *epochs to loss* is the first epoch whose mean training loss is at most ``loss`` (``epochs`` + 1 where none is),
    in the last round and summed over rounds.
    """
    found: dict[str, dict[str, list[float]]] = {arm: {} for arm in ARMS}
    for seed in range(seeds):
        for arm, blend in ARMS.items():
            reached = []
            fitted: Fitted | None = None
            for number in range(1, rounds + 1):
                drawn = split(data, number * step, seed)
                task = replace(task_of(drawn, epochs=epochs), seed=1_000 * seed + number)
                if blend is not None and fitted is not None:
                    task = replace(task, start=Start(number - 1, fitted.network, fitted.weights, *blend))
                fitted = single(task)
                under = [epoch for epoch, value in enumerate(fitted.curve["loss"], start=1) if value <= loss]
                reached.append(under[0] if under else epochs + 1)
            assert fitted is not None
            values = evaluate(prediction(fitted, drawn), drawn.test_labels)
            values |= {"to loss, last": float(reached[-1]), "to loss, all": float(sum(reached[1:]))}
            for name, value in values.items():
                found[arm].setdefault(name, []).append(value)
    return [_row(arm, by_name, found["fresh"], rounds * step) for arm, by_name in found.items()]


def _row(arm: str, own: dict[str, list[float]], fresh: dict[str, list[float]], labels: int) -> Row:
    def less_fresh(name: str) -> list[float]:
        return [float(a - b) for a, b in zip(own[name], fresh[name], strict=True)]

    return {
        "labels": labels,
        "start": arm,
        "accuracy": float(np.mean(own["accuracy"])),
        "accuracy - fresh": less_fresh("accuracy"),
        "nll - fresh": less_fresh("nll"),
        "epochs to loss, last round": own["to loss, last"],
        "epochs to loss, rounds 2 on": own["to loss, all"],
    }
