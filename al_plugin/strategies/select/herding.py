"""Batches that cover the pool smoothly."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsLD, FloatsNC, FloatsND, Picks
from al_plugin.math import information
from al_plugin.math.herding import covered_by, least_distance, weighted_cover
from al_plugin.math.submodular import cosine, gaussian, greedy_cover, unit_rows
from al_plugin.strategies.registry import Range, strategy

# Width without two different labelled samples: that of max_herding.
_COLD = 1.0
# Below this width the kernel is the identity on unit vectors in double precision.
_NARROWEST = 1e-6


@strategy(
    "uherding",
    reference="Bae, Oliveira, Sutherland (2025)",
    cost="O((L + N) N D) for the first pass, then lazily; O(L² D) for the width",
    use="Any budget: coverage while few are labelled, uncertainty when many are.",
    greedy=True,
)
def uherding(
    log_probs: FloatsNC,
    frozen_embeddings: FloatsND,
    labeled_frozen_embeddings: FloatsLD,
    n: int,
    *,
    sigma: Annotated[float, Range(0, None)] = 0.0,
) -> Picks:
    """Greedily the candidates that cover the uncertain candidates best under a Gaussian kernel.

    maximise Σ_x U(x) max_{s in L ∪ S} exp(-‖x - s‖² / σ²) on unit features, U = 1 - (p₍₁₎ - p₍₂₎). σ = 0
    stands for the least distance between two different labelled samples, so that the balls shrink as
    labels come in (1 while there are no two). The paper calibrates p by a temperature on held-out
    labels, which a select strategy does not see: probabilities are taken as they are. Ties go to the
    first candidate in keyed order.
    """
    units, known = unit_rows(frozen_embeddings), unit_rows(labeled_frozen_embeddings)
    first, second = information.top_two(log_probs)
    doubt = np.maximum(np.exp(second) - np.expm1(first), 0.0)  # 1 - p1 + p2 without cancellation
    adaptive = least_distance(known) if sigma == 0 else sigma
    kernel = gaussian(max(adaptive, _NARROWEST) if np.isfinite(adaptive) else _COLD)
    picks, _ = weighted_cover(units, doubt, n, kernel, covered=covered_by(units, known, kernel))
    return picks


@strategy(
    "facility_location",
    reference="Wei, Iyer, Bilmes (2015); Nemhauser, Wolsey, Fisher (1978)",
    cost="O((L + N) N D) for the first pass, then lazily",
    use="Representative batches without a kernel width to choose; redundant pools.",
    greedy=True,
)
def facility_location(frozen_embeddings: FloatsND, labeled_frozen_embeddings: FloatsLD, n: int) -> Picks:
    """Greedily the candidates most similar to all candidates, what is labelled counting as picked.

    maximise Σ_x max_{s in L ∪ S} (1 + cos(x, s)) / 2 over all candidates x, at least 1 - 1/e of the
    optimum. Ties go to the first candidate in keyed order.
    """
    units = unit_rows(frozen_embeddings)
    covered = covered_by(units, unit_rows(labeled_frozen_embeddings), cosine)
    picks, _ = greedy_cover(units, units, n, cosine, covered=covered)
    return picks
