"""Batches that make the labelled set look like the pool."""

from typing import Annotated

import numpy as np

from al_plugin.axes import Floats, FloatsLD, FloatsND, Picks
from al_plugin.math.logistic import fit_logistic, logits
from al_plugin.strategies.registry import Range, strategy

# Candidates the classifier is fitted on: the first in keyed order, a uniform sample.
_FITTED = 10_000


@strategy(
    "discriminative",
    reference="Gissin & Shalev-Shwartz (2019)",
    cost="O(batches ((L + n + 10000) D² + N D)) for a few Newton steps each",
    use="Large batches for a fixed representation: what is labelled should not be told from what is not.",
)
def discriminative(
    embeddings: FloatsND,
    labeled_embeddings: FloatsLD,
    n: int,
    *,
    batches: Annotated[int, Range(1, None)] = 10,
    regularisation: Annotated[float, Range(1e-4, None)] = 1.0,
) -> Picks:
    """The candidates that a classifier takes for unlabelled with most certainty, in several small batches.

    argmax_x P(unlabelled | x) by logistic regression of labelled against unlabelled embeddings
    (standardised, both sides of equal weight, L2 penalty ``regularisation``); n / ``batches`` are taken,
    count as labelled, and the classifier is fitted again. Without labels the first small batch is the
    first candidates. Ties go to the first candidate in keyed order.
    """
    points, known = _standardised(embeddings, labeled_embeddings)
    free = np.ones(len(points), dtype=np.bool_)
    picks = np.empty(0, dtype=np.int64)
    beta: Floats | None = None
    for size in np.diff(np.linspace(0, n, min(batches, n) + 1).astype(np.int64)):
        labeled = np.concatenate([known, points[picks]])
        left = np.flatnonzero(free)
        chosen = left[:size]
        if len(labeled):
            beta = _told_apart(points[left[:_FITTED]], labeled, regularisation, beta)
            chosen = left[np.argsort(-logits(points[left], beta), kind="stable")[:size]]
        picks = np.concatenate([picks, chosen])
        free[chosen] = False
    return picks


def _told_apart(unlabeled: FloatsND, labeled: FloatsLD, penalty: float, start: Floats | None) -> Floats:
    """Coefficients of P(unlabelled), both sides weighing half of the number of samples."""
    features = np.concatenate([unlabeled, labeled])
    targets = np.arange(len(features)) < len(unlabeled)
    weights = len(features) / 2.0 / np.where(targets, len(unlabeled), len(labeled))
    return fit_logistic(features, targets, weights, penalty=penalty, start=start)


def _standardised(points: FloatsND, others: FloatsLD) -> tuple[FloatsND, FloatsLD]:
    """Both by mean and deviation of the two together; a constant feature becomes 0."""
    together = np.concatenate([points, others]).astype(np.float64)
    greatest = np.abs(together).max(axis=0)
    together -= together.mean(axis=0)
    deviation = together.std(axis=0)
    # Rounding of the mean is no deviation.
    varies = deviation > 1e-12 * greatest
    together = np.where(varies, together / np.where(varies, deviation, 1.0), 0.0)
    return together[: len(points)], together[len(points) :]
