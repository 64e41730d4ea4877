"""Metrics on the evaluation set."""

import numpy as np

from al_plugin.axes import FloatsNC, IntsN


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
