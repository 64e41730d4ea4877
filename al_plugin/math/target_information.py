"""What a label would tell about predictions that matter: EPIG, JEPIG, expected error reduction.

All take log-probabilities (T, N, C) of candidates and (T, M, C) of targets under the same T posterior
samples and give (N,), the same bits whichever candidates stand beside a sample.
"""

import numpy as np

from al_plugin.axes import FloatsN, FloatsTMC, FloatsTNC
from al_plugin.math.committee import mutual_information
from al_plugin.math.joint import Configurations, by_sample, extended, information_left, no_labels

# Target classes per block, and numbers per block of the joint distribution.
_COLUMNS = 4096
_NUMBERS = 2**17


def expected_information(log_probs: FloatsTNC, target_log_probs: FloatsTMC) -> FloatsN:
    """EPIG = (1/M) Σ_j I(y; y*_j | x, x*_j), in nats. Range [0, BALD(x)].

    Computed as BALD(x) less what is left of it once the label of one target is known: the M C
    configurations of one label each have masses p̄(y*_j = c) / M. O(N C · T · M C).
    Source: Bickford Smith, Kirsch, Farquhar, Gal, Foster, Rainforth (2023).
    """
    samples, targets, classes = target_log_probs.shape
    weights = np.exp(target_log_probs.astype(np.float64)).reshape(samples, targets * classes)
    total = weights.sum(axis=0)
    possible = total > 0
    weights, total = weights[:, possible], total[possible]
    one_label = Configurations(weights / total, total / total.sum())
    return _fall(log_probs, one_label)


def joint_information(
    log_probs: FloatsTNC, target_log_probs: FloatsTMC, rng: np.random.Generator, *, configurations: int
) -> FloatsN:
    """JEPIG = I(y; y*_1, ..., y*_M | x, x*_1, ..., x*_M), in nats. Range [0, BALD(x)].

    BALD(x) less what is left of it once the labels of all targets are known: exact while C^M <=
    ``configurations``, else over that many drawn ones. O(M · T C configurations + N C · T · configurations).
    Source: Kirsch, Rainforth, Gal (2021); Bickford Smith et al. (2023).
    """
    given = no_labels(len(target_log_probs))
    for target in range(target_log_probs.shape[1]):
        given = extended(given, target_log_probs[:, target], configurations, rng)
    return _fall(log_probs, given)


def _fall(log_probs: FloatsTNC, known: Configurations) -> FloatsN:
    """What the labels of ``known`` take off BALD, both in float64: in single precision noise would be left of 0."""
    whole = mutual_information(log_probs.astype(np.float64, copy=False))
    fall: FloatsN = np.maximum(whole - information_left(log_probs, known), 0.0)
    return fall


def expected_error_reduction(log_probs: FloatsTNC, target_log_probs: FloatsTMC) -> FloatsN:
    """Fall of the expected 0/1 risk of the targets. Range [0, 1 - 1/C].

    (1/M) Σ_j (Σ_y max_c p̂(y, y*_j = c) - max_c p̄(y*_j = c)), p̂ = (1/T) Σ_t p_t(y | x) p_t(y* | x*):
    the posterior samples are reweighted by the imagined label, nothing is trained. O(N C · T · M C).
    Source: Roy & McCallum (2001), with a committee in place of retraining.
    """
    samples, targets, classes = target_log_probs.shape
    total = np.zeros(log_probs.shape[1])
    step = max(1, _COLUMNS // classes)
    rows = max(1, _NUMBERS // (log_probs.shape[2] * min(targets, step) * classes))
    for first in range(0, targets, step):
        block = np.exp(target_log_probs[:, first : first + step].astype(np.float64)) / samples
        columns = np.ascontiguousarray(block.reshape(samples, -1))
        now = block.sum(axis=0).max(axis=1).sum()
        for start in range(0, len(total), rows):
            _, probs = by_sample(log_probs[:, start : start + rows])
            joint = np.matmul(probs, columns).reshape(len(probs), -1, classes)
            total[start : start + rows] += joint.max(axis=2).sum(axis=1) - now
    reduction: FloatsN = np.maximum(total / targets, 0.0)
    return reduction
