"""Batches that tell most about the weights of the model's last layer."""

from typing import Annotated

from al_plugin.axes import FloatsLC, FloatsLD, FloatsNC, FloatsND, Picks
from al_plugin.errors import StrategyError
from al_plugin.math.fisher import (
    LIMIT,
    check_size,
    class_blocks,
    head_inputs,
    prior_information,
    weighted_gram,
)
from al_plugin.math.trace_greedy import trace_greedy
from al_plugin.strategies.registry import Range, strategy

# Three arrays of (N, C - 1, C - 1) doubles are kept: 3 GiB.
_KEPT = 1 << 27


@strategy(
    "bait",
    reference="Ash, Goel, Krishnamurthy, Kakade (2021)",
    cost="O(N (C D)² + oversample n N C² (C + D) + (C D)³), memory O(N C² + (C D)²)",
    use="Batches for a linear head on good embeddings, with few classes times features.",
)
def bait(
    log_probs: FloatsNC,
    embeddings: FloatsND,
    labeled_log_probs: FloatsLC,
    labeled_embeddings: FloatsLD,
    n: int,
    *,
    regularisation: Annotated[float, Range(1e-4, None)] = 1.0,
    oversample: Annotated[float, Range(1.0, 100.0)] = 2.0,
    limit: Annotated[int, Range(100, 20_000)] = LIMIT,
) -> Picks:
    """The batch after which the last layer's weights would be known best where the candidates are.

    minimise tr[(λI + Σ_{x in L ∪ S} I(x))⁻¹ Σ_{x in U} I(x)], I(x) = (diag p - p pᵀ) ⊗ h hᵀ, h with the
    bias appended, U the candidates, λ = ``regularisation``: greedily ``oversample`` n samples, then the
    least missed are taken away. Ties go to the first candidate in keyed order. A head of more than
    ``limit`` weights C (D + 1) is refused.
    """
    candidates, classes = log_probs.shape
    check_size(classes, embeddings.shape[1], limit)
    if candidates * (classes - 1) ** 2 > _KEPT:
        raise StrategyError(
            f"bait keeps N (C - 1)² numbers, here {candidates} x {(classes - 1) ** 2}, limit is {_KEPT}",
            change="ask from a smaller pool, or merge classes",
        )
    inputs, blocks = head_inputs(embeddings), class_blocks(log_probs)
    prior = prior_information(labeled_log_probs, labeled_embeddings, regularisation)
    target = weighted_gram(inputs, classes - 1, lambda rows: blocks[rows])
    forward = min(max(n, round(oversample * n)), candidates)
    picks, _ = trace_greedy(inputs, blocks, prior, target, n, forward)
    return picks
