"""What one more label is expected to do to the model's errors, by its last layer alone."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsLC, FloatsLD, FloatsN, FloatsNC, FloatsND
from al_plugin.math.distinct import distinct_rows
from al_plugin.math.expected_error import RISKS, expected_risks
from al_plugin.math.fisher import LIMIT, check_size, prior_information
from al_plugin.math.labeled_head import labeled_head
from al_plugin.math.output_variance import pool_variance, trace_reductions
from al_plugin.strategies.registry import OneOf, Range, strategy

_WHOLE_POOL = {"chunks_agree": "the score is an average over the whole pool"}


@strategy(
    "variance_reduction",
    reference="Schein & Ungar (2007); Settles (2009)",
    cost="O(N (C D)² + (C D)³), memory O((C D)²)",
    use="One label at a time for a linear head on good embeddings, with few classes times features.",
    certain=True,
    expected_failures=_WHOLE_POOL,
)
def variance_reduction(
    log_probs: FloatsNC,
    embeddings: FloatsND,
    labeled_log_probs: FloatsLC,
    labeled_embeddings: FloatsLD,
    *,
    regularisation: Annotated[float, Range(1e-4, None)] = 1.0,
    limit: Annotated[int, Range(100, 20_000)] = LIMIT,
) -> FloatsN:
    """High where a label would take most variance from the predicted probabilities of the pool.

    s = tr(A F⁻¹) - tr(A (F + I(x))⁻¹), F = λI + Σ_{x in L} I(x), I(x) = (diag p - p pᵀ) ⊗ h hᵀ,
    A the pool's mean of (diag p - p pᵀ)² ⊗ h hᵀ, h with the bias appended, λ = ``regularisation``:
    summed over classes, before less after. Range [0, ∞): 0 iff the prediction is certain. A head of more
    than ``limit`` weights C (D + 1) is refused.
    """
    check_size(log_probs.shape[1], embeddings.shape[1], limit)
    rows, back, counts = distinct_rows(embeddings, log_probs)
    logs, hidden = log_probs[rows], embeddings[rows]
    prior = prior_information(labeled_log_probs, labeled_embeddings, regularisation)
    variance = pool_variance(logs, hidden, counts)
    return trace_reductions(logs, hidden, prior, variance)[back]


@strategy(
    "expected_error_reduction",
    reference="Roy & McCallum (2001); Settles (2009)",
    cost="O(N C² (steps (C D² + L D) + targets D)), exponentials N C² (steps L + targets); memory O((C D)² + C² L)",
    use="One label at a time on small pools; it judges the model by itself.",
    expected_failures=_WHOLE_POOL,
)
def expected_error_reduction(
    log_probs: FloatsNC,
    embeddings: FloatsND,
    labeled_log_probs: FloatsLC,
    labeled_embeddings: FloatsLD,
    *,
    loss: Annotated[str, OneOf(("log", "zero_one"))] = "log",
    targets: Annotated[int, Range(1, None)] = 512,
    steps: Annotated[int, Range(0, 100)] = 2,
    regularisation: Annotated[float, Range(1e-4, None)] = 1.0,
    limit: Annotated[int, Range(100, 20_000)] = LIMIT,
) -> FloatsN:
    """High where the model expects to err least after it has learnt the label.

    s = -Σ_y p_y · mean_u R(p₊(. | u)), p₊ after a shortened Newton step of the last layer on (x, y) from the
    labelled optimum, λ = ``regularisation``, and ``steps`` more; many are retraining. R is the entropy
    (``log``, nats) or 1 - max p (``zero_one``), u at most ``targets`` rows of the pool, evenly spaced by
    embedding. Range [-log C, 0]. The label itself is never read. A head of more than ``limit`` weights
    C (D + 1) is refused.
    """
    check_size(log_probs.shape[1], embeddings.shape[1], limit)
    rows, back, counts = distinct_rows(embeddings, log_probs)
    logs, hidden = log_probs[rows], embeddings[rows]
    spaced = np.linspace(0, len(log_probs), min(targets, len(log_probs)), endpoint=False)
    aims = np.searchsorted(np.cumsum(counts), spaced, side="right")
    head = labeled_head(labeled_log_probs, labeled_embeddings, regularisation)
    return -expected_risks(logs, hidden, logs[aims], hidden[aims], head, RISKS[loss], steps)[back]
