"""Expected error of a linear softmax head after one more label."""

from collections.abc import Callable, Mapping

import numpy as np

from al_plugin.axes import Floats, FloatsN, FloatsNC, FloatsND
from al_plugin.math.fisher import probabilities
from al_plugin.math.head_update import label_responses
from al_plugin.math.labeled_head import LabeledHead, columns

# Numbers in a temporary. F⁻¹ is read once for each block of samples, so blocks are no smaller than _ROWS
# unless what they keep of the labelled samples exceeds _KEPT.
_ELEMENTS, _ROWS, _KEPT = 1 << 17, 16, 1 << 24

Risk = Callable[[Floats], Floats]


def log_risk(logits: Floats) -> Floats:
    """Entropy in nats of softmax over the axis before the last: the expected log loss."""
    shifted = logits - logits.max(axis=-2, keepdims=True)
    weights = np.exp(shifted)
    total = weights.sum(axis=-2)
    weights *= shifted
    risk: Floats = np.log(total) - weights.sum(axis=-2) / total
    return risk


def zero_one_risk(logits: Floats) -> Floats:
    """1 - max_c p_c of softmax over the axis before the last: the expected 0/1 loss."""
    weights = np.exp(logits - logits.max(axis=-2, keepdims=True))
    risk: Floats = 1.0 - 1.0 / weights.sum(axis=-2)
    return risk


RISKS: Mapping[str, Risk] = {"log": log_risk, "zero_one": zero_one_risk}


def expected_risks(
    log_probs: FloatsNC,
    hidden: FloatsND,
    target_log_probs: FloatsNC,
    target_hidden: FloatsND,
    head: LabeledHead,
    risk: Risk,
    steps: int,
) -> FloatsN:
    """Σ_y p_y · mean_u risk(p(. | u) after the label y of x) of each sample, (N,).

    Targets u (M, C) and (M, D); the head moves as ``label_responses`` says. O(N C² (steps (C D² + L D) + M D))
    multiplications and N C² (steps L + M) exponentials; memory O(m² + C² L). Source: Roy & McCallum (2001).
    """
    classes = log_probs.shape[1]
    places, logs = columns(target_log_probs, target_hidden)
    rows = max(_ROWS, _ELEMENTS // (classes * len(head.inverse)))
    rows = max(1, min(rows, _KEPT // max(1, classes * head.logs.size)))
    out = np.empty(len(log_probs))
    for start in range(0, len(log_probs), rows):
        block = slice(start, start + rows)
        responses = label_responses(head, log_probs[block], hidden[block], steps)
        for position, (response, weights) in enumerate(zip(responses, probabilities(log_probs[block]), strict=True)):
            out[start + position] = weights @ _mean_risks(response, places, logs, risk)
    return out


def _mean_risks(response: Floats, places: Floats, logs: Floats, risk: Risk) -> Floats:
    """Mean risk of the targets under each of the changed heads (C labels, C, D + 1), (C labels,)."""
    chunk = max(1, _ELEMENTS // len(response) ** 2)
    total = np.zeros(len(response))
    for start in range(0, places.shape[1], chunk):
        logits = response @ places[:, start : start + chunk]
        logits += logs[:, start : start + chunk]
        total += risk(logits).sum(axis=1)
    mean: Floats = total / places.shape[1]
    return mean
