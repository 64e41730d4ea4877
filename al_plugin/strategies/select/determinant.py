"""Batches of informative samples that repel each other."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsN, FloatsND, Picks
from al_plugin.math.determinant import greedy_determinant
from al_plugin.math.sampling import shortlist
from al_plugin.math.submodular import unit_rows
from al_plugin.strategies.registry import Range, strategy


@strategy(
    "max_det",
    reference="Kulesza & Taskar (2012); Chen, Zhang, Zhou (2018); Holzmüller, Zaverkin, Kästner, Steinwart (2023)",
    cost="O(factor n³ + factor n² D)",
    use="Informative batches without near-duplicates; quality and diversity traded by one knob.",
)
def max_det(
    scores: FloatsN,
    embeddings: FloatsND,
    n: int,
    *,
    factor: Annotated[float, Range(1, None)] = 10.0,
    quality: Annotated[float, Range(0, None)] = 1.0,
    sigma: Annotated[float, Range(0.01, None)] = 1.0,
) -> Picks:
    """Of the factor · n best scores, greedily those of the largest kernel determinant.

    maximise log det [q_i q_j exp(-‖h_i - h_j‖² / σ²)] on unit rows, log q = quality · (score moved to [0, 1]
    over the shortlist): the mode of a determinantal point process. ``quality`` 0 is diversity alone.
    Copies of a pick come last. Ties go to the first candidate in keyed order.
    """
    chosen = shortlist(scores, n, factor)
    best = scores[chosen]
    spread = float(best.max() - best.min())
    logs = quality * (best - best.min()) / spread if spread > 0 else np.zeros(len(best))
    picks, _ = greedy_determinant(unit_rows(embeddings[chosen]), logs, n, sigma)
    return chosen[picks]
