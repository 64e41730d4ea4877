"""Disagreement of posterior samples (dropout passes, ensemble members) about one prediction.

All take log-probabilities (T, N, C) and give (N,) or (N, C); p̄ is the mean over the T samples. They go
through blocks of samples: memory beside input and output is a few blocks, whatever T, N and C.

Each class is measured from a common centre m, d_t = log p_t - m, and exp(d_t) - 1 keeps its digits
where all nearly agree. Members that agree exactly have d_t = 0.
"""

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsTNC
from al_plugin.math.information import (
    best,
    blocks,
    by_class,
    class_maxima,
    class_sums,
    entropy,
    in_blocks,
    over_classes,
    with_faint,
)

# The centre is kept this near to the largest log p_t: what lies far below must not move it.
_REACH = 2.0
# exp(d) - 1 is -1 from here on, in float64 too.
_NOTHING = -50.0


def _centred(block: FloatsTNC) -> tuple[Floats, Floats]:
    """Centre m (N, C) and d = log p - m (T, N, C)."""
    centre = block[: 2 ** (len(block).bit_length() - 1)]
    depth = len(centre)
    with np.errstate(invalid="ignore"):
        while len(centre) > 1:
            # Halving a power of two: the mean of equal numbers is that number.
            half = len(centre) // 2
            centre = centre[:half] + centre[half:]
        centre = centre[0] / depth
    top = np.maximum(block.max(axis=0), np.finfo(block.dtype).min)  # finite: -inf - m is -inf
    centre = np.maximum(centre, top - _REACH)
    return centre, block - centre


def mean_log_probs(log_probs: FloatsTNC) -> Floats:
    """log p̄, shape (N, C), float64; -inf where every sample says 0."""
    out = np.empty(log_probs.shape[1:])
    for rows, block in blocks(log_probs):
        centre, gaps = _centred(block)
        change = np.expm1(gaps, out=gaps).sum(axis=0, dtype=np.float64) / len(block)
        with np.errstate(divide="ignore"):
            out[rows] = centre + np.log1p(change)
    return out


def predictive_entropy(log_probs: FloatsTNC) -> FloatsN:
    """H(p̄) in nats. Range [0, log C]."""
    return in_blocks(lambda block: entropy(mean_log_probs(block)), log_probs)


def mutual_information(log_probs: FloatsTNC) -> FloatsN:
    """I(y; ω | x) = H(p̄) - (1/T) Σ_t H(p_t) = (1/T) Σ_t KL(p_t ‖ p̄), in nats.

    Range [0, log min(T, C)]: 0 iff all samples agree in their probabilities. Computed class by class as
    (1/T) Σ_t p_t log p_t - p̄ log p̄, each 0 or more; the doubtful classes of a nearly certain prediction
    then do not drown in the rounding of the sure one.
    Source: Houlsby et al. (2011); the committee's KL of McCallum & Nigam (1998) is the same number.
    """
    return in_blocks(with_faint(_mutual_information), log_probs)


def _mutual_information(block: FloatsTNC) -> FloatsN:
    centre, gaps = _centred(block)
    change = np.expm1(gaps)
    mean = change.sum(axis=0)
    mean /= len(block)
    change += 1.0
    with np.errstate(invalid="ignore"):
        convex = np.einsum("tnc,tnc->nc", gaps, change)
    if np.isnan(convex).any():  # -inf · 0
        convex = np.einsum("tnc,tnc->nc", np.maximum(gaps, _NOTHING), change)
    convex /= len(block)
    # With r = p / e^m: mean of r log r, less the same of the mean.
    whole = np.maximum(mean, np.nextafter(-1, 0, dtype=mean.dtype))
    convex -= (1.0 + mean) * np.log1p(whole)
    convex *= np.exp(centre)
    return np.maximum(class_sums(convex), 0.0)


def mean_deviation(log_probs: FloatsTNC) -> FloatsN:
    """(1/C) Σ_c sqrt(Var_t p_tc), population variance. Range [0, 1/2]."""
    # Where the best class changes by 1e-19 and less, the square of the change is no float32.
    return in_blocks(with_faint(_mean_deviation, below=1e-15), log_probs)


def _mean_deviation(block: FloatsTNC) -> FloatsN:
    centre, gaps = _centred(block)
    change = np.expm1(gaps, out=gaps)
    mean = change.sum(axis=0)
    mean /= len(block)
    variance = np.einsum("tnc,tnc->nc", change, change)
    variance /= len(block)
    variance -= mean * mean
    deviation = np.sqrt(np.maximum(variance, 0.0)) * np.exp(centre)
    mean_deviations: FloatsN = class_sums(deviation) / block.shape[2]
    return mean_deviations


def vote_shares(log_probs: FloatsTNC) -> Floats:
    """Share of the T samples whose best class is c, (N, C); a tie at the top shares its vote."""
    out = np.empty(log_probs.shape[1:])
    for rows, block in blocks(log_probs):
        out[rows] = _vote_shares(block)
    return out


def variation_ratio(log_probs: FloatsTNC) -> FloatsN:
    """1 - max_c v_c of the vote shares. Range [0, 1 - 1/min(T, C)]."""
    return in_blocks(lambda block: 1.0 - best(_vote_shares(block)), log_probs)


def vote_entropy(log_probs: FloatsTNC) -> FloatsN:
    """-Σ_c v_c log v_c of the vote shares, in nats. Range [0, log min(T, C)]."""

    def kernel(block: FloatsTNC) -> FloatsN:
        with np.errstate(divide="ignore"):
            return entropy(np.log(_vote_shares(block)))

    return in_blocks(kernel, log_probs)


def _vote_shares(block: FloatsTNC) -> Floats:
    samples, rows, classes = block.shape
    columns = by_class(block)
    wins = columns == over_classes(class_maxima(columns), columns)
    split: Floats | float = 0.0
    if np.count_nonzero(wins) > samples * rows:
        # Whole votes are counted apart from shared ones, so that neither depends on the other rows.
        winners = wins.sum(axis=(0, -1))
        split = np.zeros((len(columns), rows, columns.shape[-1]))
        for t in range(samples):
            split += wins[:, t] * np.where(winners[t] > 1, 1.0 / winners[t], 0.0)[:, np.newaxis]
        wins &= (winners == 1)[..., np.newaxis]
    whole = wins.view(np.uint8).sum(axis=1, dtype=np.uint8 if samples < 256 else np.int64)
    shares = (whole + split) / samples
    by_row: Floats = np.moveaxis(shares, 0, 1).reshape(rows, classes)
    return by_row
