"""Temperature scaling of predicted probabilities (Guo, Pleiss, Sun, Weinberger 2017)."""

import numpy as np

from al_plugin.axes import FloatsNC, IntsN

# Temperatures beyond are none that a handful of held-out samples could tell.
LOWEST, HIGHEST = 0.05, 20.0


def best_temperature(log_probs: FloatsNC, labels: IntsN) -> float:
    """Temperature T in [0.05, 20] with the lowest mean NLL of softmax(log_probs / T) on ``labels`` (N,).

    The NLL is convex in β = 1/T with slope mean(Σ_c p_c l_c - l_y), l the log-probabilities: the root
    is bisected in log β. Where every sample is predicted right, NLL falls all the way to T = 0 and
    no temperature is best: 1.
    """
    wide = np.maximum(log_probs.astype(np.float64), -1e4)
    at_labels = wide[np.arange(len(labels)), labels]
    if (at_labels == wide.max(axis=1)).all():
        return 1.0

    def slope(beta: float) -> float:
        scaled = beta * wide
        p = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return float(((p * wide).sum(axis=1) - at_labels).mean())

    low, high = -np.log(HIGHEST), -np.log(LOWEST)
    if slope(float(np.exp(low))) >= 0:
        return HIGHEST
    if slope(float(np.exp(high))) <= 0:
        return LOWEST
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(float(np.exp(middle))) < 0 else (low, middle)
    return float(np.exp(-0.5 * (low + high)))


def tempered(log_probs: FloatsNC, temperature: float) -> FloatsNC:
    """log softmax(log_probs / T), (N, C), float32; each row keeps its first largest class.

    Classes whose log-probabilities become one float32 number would change that: the largest is then
    moved up by one unit in the last place.
    """
    scaled = log_probs.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    out: FloatsNC = (scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))).astype(np.float32)
    best = log_probs.argmax(axis=1)
    moved = np.flatnonzero(out.argmax(axis=1) != best)
    out[moved, best[moved]] = np.nextafter(out[moved].max(axis=1), np.float32(1))
    return out
