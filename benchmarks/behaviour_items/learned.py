"""Learned judges: does the predicted loss order true losses, does the discriminator tell the seen from the unseen?"""

from dataclasses import replace

import numpy as np

from al_plugin.math.information import entropy
from al_plugin.math.proxy import rank_correlation
from al_plugin.models import adversarial, minimax
from al_plugin.models.network import unlabeled_rows
from al_plugin.models.restore import model_signals
from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.strategies import registry

from .images import Array, Images, Split, split, task_of
from .stats import Row

# Classes of which the labelled set holds no sample.
UNSEEN = (7, 8, 9)


def loss_prediction(data: Images, *, seeds: int, labels: int, epochs: int) -> list[Row]:
    """Spearman's correlation of predicted with true loss over unlabelled samples, beside that of entropy."""
    found = [loss_correlations(split(data, labels, seed), epochs) for seed in range(seeds)]
    return [
        {
            "labels": labels,
            "predicted loss": [one[0] for one in found],
            "entropy": [one[1] for one in found],
            "predicted - entropy": [one[0] - one[1] for one in found],
        }
    ]


def loss_correlations(drawn: Split, epochs: int) -> tuple[float, float]:
    """Correlation with the true loss of the predicted loss, and of the network's own entropy."""
    fitted: Fitted = registry.load("train", "loss_prediction").function(task_of(drawn, epochs=epochs))
    log_probs, _ = model_signals({"network": fitted.network}, fitted.weights, drawn.pool)
    held = slice(drawn.n, None)
    true = -log_probs[np.arange(len(drawn.truth)), drawn.truth].astype(np.float64)[held]
    predicted = fitted.pool_signals["predicted_loss"][held]
    return rank_correlation(predicted, true), rank_correlation(entropy(log_probs.astype(np.float64))[held], true)


def discriminators(data: Images, *, seeds: int, labels: int, epochs: int, steps: dict[str, list[int]]) -> list[Row]:
    """How D tells apart samples of seen and unseen classes, and what it makes of a set labelled at random."""
    rows: list[Row] = []
    for name, tried in steps.items():
        for many in tried:
            found = [separation(name, split(data, labels, seed), epochs, many) for seed in range(seeds)]
            rows.append({"method": name, "labels": labels, "steps": many})
            rows[-1] |= {key: [one[key] for one in found] for key in found[0]}
    return rows


def separation(name: str, drawn: Split, epochs: int, steps: int) -> dict[str, float]:
    """Areas under the curve of D on one draw.

    First ``UNSEEN`` classes lack from the labelled set: D of samples of seen classes over those of unseen ones, on
    samples that were unlabelled in training and on fresh ones, which no part of the training saw; and the share of
    unseen classes among the 100 samples of lowest D. Then the labelled set is a random one: D of unlabelled samples
    over fresh ones is .5 unless they were learned by heart, so is D of labelled over fresh ones, and that of fresh
    samples of the same classes as above.
    """
    whole = task_of(drawn, epochs=epochs)
    fresh = np.arange(len(drawn.pool) * 4 // 5, len(drawn.pool))
    seen = np.flatnonzero(~np.isin(drawn.truth, UNSEEN))[: drawn.n]
    lacking = replace(whole, features=drawn.pool[seen], labels=drawn.truth[seen])
    shown, known = np.setdiff1d(unlabeled_rows(lacking), fresh), ~np.isin(drawn.truth, UNSEEN)
    told = judgement(name, lacking, steps, fresh)
    alike = judgement(name, whole, steps, fresh)
    return {
        "seen over unseen": area(told[shown][known[shown]], told[shown][~known[shown]]),
        "the same, fresh": area(told[fresh][known[fresh]], told[fresh][~known[fresh]]),
        "unseen in the lowest 100": float((~known)[shown][np.argsort(told[shown], kind="stable")[:100]].mean()),
        "alike: the same classes, fresh": area(alike[fresh][known[fresh]], alike[fresh][~known[fresh]]),
        "alike: unlabelled over fresh": area(alike[np.setdiff1d(unlabeled_rows(whole), fresh)], alike[fresh]),
        "alike: labelled over fresh": area(alike[: drawn.n], alike[fresh]),
    }


def judgement(name: str, task: TrainingTask, steps: int, fresh: Array) -> Array:
    """D's probability (N,) that a pool sample is labelled; ``fresh`` rows are kept from its training."""

    def others(asked: TrainingTask) -> Array:
        return np.setdiff1d(unlabeled_rows(asked), fresh)

    adversarial.unlabeled_rows = minimax.unlabeled_rows = others
    try:
        fitted: Fitted = registry.load("train", name).function(task, steps=steps)
    finally:
        adversarial.unlabeled_rows = minimax.unlabeled_rows = unlabeled_rows
    return fitted.pool_signals["discriminator"]


def area(higher: Array, lower: Array) -> float:
    """Probability that one of ``higher`` exceeds one of ``lower``, ties half (area under the ROC curve)."""
    ordered = np.sort(lower)
    below, up_to = np.searchsorted(ordered, higher, "left"), np.searchsorted(ordered, higher, "right")
    return float((below + up_to).mean() / (2 * len(lower)))
