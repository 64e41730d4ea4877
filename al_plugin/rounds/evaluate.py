"""Metrics on the evaluation set."""

from collections.abc import Callable, Mapping

import numpy as np

from al_plugin.axes import FloatsN, FloatsNC, IntsN
from al_plugin.math import label_metrics, value_metrics


def evaluate(log_probs: FloatsNC, labels: IntsN) -> dict[str, float]:
    """Accuracy, balanced accuracy, negative log-likelihood (nats) and expected calibration error.

    ``log_probs`` (N, C), ``labels`` (N,). Calibration error: 15 equal-width bins of confidence,
    Σ_b |b|/N · |accuracy(b) - confidence(b)|, range [0, 1] (Guo et al. 2017).
    """
    predicted = log_probs.argmax(axis=1)
    correct = predicted == labels
    recalls = [correct[labels == c].mean() for c in range(log_probs.shape[1]) if (labels == c).any()]
    log_likelihood = log_probs[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "accuracy": float(correct.mean()),
        "balanced_accuracy": float(np.mean(recalls)),
        "nll": float(-np.maximum(log_likelihood, -1e4).mean()),
        "ece": calibration_error(np.exp(log_probs.max(axis=1).astype(np.float64)), correct),
    }


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error of confidences (N,) in [0, 1] against correctness (N,)."""
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = 0.0
    for b in range(bins):
        inside = which == b
        if inside.any():
            gap += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return float(gap)


def evaluate_sets(log_odds: FloatsNC, labels: FloatsNC) -> dict[str, float]:
    """F1 over all pairs and over labels, exact matches, average precision, mean binary cross-entropy (nats).

    ``log_odds`` (N, C), ``labels`` (N, C) 0 or 1; a label is predicted where it is more likely than not.
    """
    truth, found = labels > 0, log_odds > 0
    return {
        "micro_f1": label_metrics.micro_f1(truth, found),
        "macro_f1": label_metrics.macro_f1(truth, found),
        "subset_accuracy": float((truth == found).all(axis=1).mean()),
        "mean_average_precision": label_metrics.mean_average_precision(truth, log_odds),
        "nll": label_metrics.log_loss(truth, log_odds),
    }


def evaluate_values(values: FloatsN, labels: FloatsN) -> dict[str, float]:
    """R², root mean squared error and mean absolute error, the two in units of the answers."""
    return {
        "r2": value_metrics.r2(labels, values),
        "rmse": value_metrics.rmse(labels, values),
        "mae": value_metrics.mae(labels, values),
    }


# The metrics of each task, from predictions and labels; names as al_plugin.targets lists them.
MEASURES: Mapping[str, Callable[[np.ndarray, np.ndarray], dict[str, float]]] = {
    "classes": evaluate,
    "multilabel": evaluate_sets,
    "regression": evaluate_values,
}
