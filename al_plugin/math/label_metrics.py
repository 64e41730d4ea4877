"""How well sets of labels are predicted: truth and prediction (N, C) by label, log-odds (N, C)."""

import numpy as np

from al_plugin.axes import FloatsNC

Flags = np.ndarray


def micro_f1(truth: Flags, found: Flags) -> float:
    """2 TP / (2 TP + FP + FN) over all pairs of sample and label, range [0, 1]; 0 where nothing is true or found."""
    return float(_f1(truth.ravel()[:, None], found.ravel()[:, None])[0])


def macro_f1(truth: Flags, found: Flags) -> float:
    """Mean F1 of the labels that some sample has, range [0, 1]; 0 where none has any."""
    held = truth.any(axis=0)
    return float(_f1(truth, found)[held].mean()) if held.any() else 0.0


def _f1(truth: Flags, found: Flags) -> np.ndarray:
    """F1 of each column, (C,)."""
    both = (truth & found).sum(axis=0)
    whole = truth.sum(axis=0) + found.sum(axis=0)
    shares: np.ndarray = 2.0 * both / np.maximum(whole, 1)
    return shares


def mean_average_precision(truth: Flags, log_odds: FloatsNC) -> float:
    """Mean over labels that some sample has of Σ_k (R_k - R_{k-1}) P_k, samples by falling log-odds.

    Ties count as one threshold. Range [0, 1]; 0 where no sample has a label.
    """
    held = np.flatnonzero(truth.any(axis=0))
    return float(np.mean([_average_precision(truth[:, c], log_odds[:, c]) for c in held])) if len(held) else 0.0


def _average_precision(truth: Flags, score: np.ndarray) -> float:
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def log_loss(truth: Flags, log_odds: FloatsNC) -> float:
    """Mean binary cross-entropy over all pairs of sample and label, nats, range [0, ∞)."""
    toward = np.where(truth, log_odds, -log_odds).astype(np.float64)
    return float(np.logaddexp(0.0, -toward).mean())
