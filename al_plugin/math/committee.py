"""Disagreement of posterior samples (dropout passes, ensemble members) about one prediction.

All take log-probabilities (T, N, C) and give (N,); p̄ is the mean over the T samples.
"""

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsTNC
from al_plugin.math.information import entropy


def mean_log_probs(log_probs: FloatsTNC) -> Floats:
    """log p̄, shape (N, C), float64; -inf where every sample says 0."""
    top = log_probs.max(axis=0).astype(np.float64)
    finite = np.where(np.isneginf(top), 0.0, top)
    total = np.zeros(top.shape)
    for sample in log_probs:
        total += np.exp(sample - finite)
    with np.errstate(divide="ignore"):
        result: Floats = np.log(total / len(log_probs)) + finite
    return result


def mean_entropy(log_probs: FloatsTNC) -> FloatsN:
    """(1/T) Σ_t H(p_t) in nats. Range [0, log C]."""
    total = np.zeros(log_probs.shape[1])
    for sample in log_probs:
        total += entropy(sample)
    return total / len(log_probs)


def mutual_information(log_probs: FloatsTNC) -> FloatsN:
    """I(y; ω | x) = H(p̄) - (1/T) Σ_t H(p_t) = (1/T) Σ_t KL(p_t ‖ p̄), in nats.

    Range [0, log min(T, C)]: 0 iff all samples agree in their probabilities. The second form is how
    it is computed: a mean of non-negative terms loses no digits where all nearly agree.
    Source: Houlsby et al. (2011); the committee's KL of McCallum & Nigam (1998) is the same number.
    """
    mean = mean_log_probs(log_probs)
    total = np.zeros(mean.shape[0])
    for sample in log_probs:
        wide = sample.astype(np.float64)
        probs = np.exp(wide)
        gap = np.where(probs > 0, wide - np.where(probs > 0, mean, 0.0), 0.0)
        total += (probs * gap).sum(axis=1)
    return np.maximum(total / len(log_probs), 0.0)


def vote_shares(log_probs: FloatsTNC) -> Floats:
    """Share of the T samples whose best class is c, (N, C); a tie at the top shares its vote."""
    shares = np.zeros(log_probs.shape[1:])
    for sample in log_probs:
        best = sample == sample.max(axis=1, keepdims=True)
        shares += best / best.sum(axis=1, keepdims=True)
    return shares / len(log_probs)


def mean_deviation(log_probs: FloatsTNC) -> FloatsN:
    """(1/C) Σ_c sqrt(Var_t p_tc), population variance. Range [0, 1/2]."""
    mean = np.zeros(log_probs.shape[1:])
    for sample in log_probs:
        mean += np.exp(sample.astype(np.float64))
    mean /= len(log_probs)
    variance = np.zeros(mean.shape)
    for sample in log_probs:
        variance += (np.exp(sample.astype(np.float64)) - mean) ** 2
    result: Floats = np.sqrt(variance / len(log_probs)).mean(axis=1)
    return result
