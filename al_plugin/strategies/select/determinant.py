"""Batches of good scores that span a large volume."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsN, FloatsND, Picks
from al_plugin.math.determinant import greedy_determinant
from al_plugin.math.submodular import gaussian, unit_rows
from al_plugin.strategies.registry import Range, strategy


@strategy(
    "max_det",
    reference="Kulesza & Taskar (2012); Chen, Zhang, Zhou (2018)",
    cost="O(factor n³ + factor n² D), memory O(factor n²)",
    use="Small and middle batches: good scores that repel each other.",
)
def max_det(
    scores: FloatsN,
    embeddings: FloatsND,
    n: int,
    *,
    sigma: Annotated[float, Range(0.01, None)] = 1.0,
    quality: Annotated[float, Range(0, None)] = 1.0,
    factor: Annotated[float, Range(1, None)] = 10.0,
) -> Picks:
    """Among the factor · n best scores, greedily the batch that is most probable under a determinantal process.

    maximise log det L_S with L_ij = q_i exp(-‖x_i - x_j‖² / σ²) q_j on unit features, q = u^quality and u the
    scores moved to [2⁻²⁰, 1] over the shortlist; quality 0 is diversity alone. Ties, and candidates that
    depend on the picks (copies), go by score, then to the first in keyed order.
    """
    size = min(len(scores), max(n, int(min(factor * n, len(scores)))))
    shortlist = np.argsort(-scores, kind="stable")[:size]
    best = scores[shortlist].astype(np.float64)
    spread = float(best.max() - best.min())
    moved = np.maximum((best - best.min()) / spread, 2.0**-20) if spread > 0 else np.ones(size)
    picks, _ = greedy_determinant(unit_rows(embeddings[shortlist]), quality * np.log(moved), n, gaussian(sigma))
    chosen: Picks = shortlist[picks]
    return chosen
