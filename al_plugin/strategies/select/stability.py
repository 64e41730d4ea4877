"""Batches that cover the ways in which predictions move when the weights do."""

import numpy as np

from al_plugin.axes import FloatsNP, Picks
from al_plugin.math.geometry import farthest_first, squared_norms
from al_plugin.strategies.registry import strategy


@strategy(
    "noise_stability",
    reference="Li et al. (2024)",
    cost="K forward passes of the pool for the signal, then O(n N K C)",
    use="Deep networks of any kind: uncertain and diverse from small noise on all weights.",
    greedy=True,
)
def noise_stability(output_deviations: FloatsNP, n: int) -> Picks:
    """The candidate whose output moves most, then repeatedly the one that moves most unlike those picked.

    argmax_i ‖δ_i‖ first, then argmax_i min_{j in S} ‖δ_i - δ_j‖, δ the change of the output under each
    of K small changes of the weights. Ties go to the first candidate in keyed order.
    """
    if n == 0:
        return np.empty(0, dtype=np.int64)
    first = int(squared_norms(output_deviations).argmax())
    others = np.delete(np.arange(len(output_deviations)), first)
    picks, _ = farthest_first(output_deviations[others], output_deviations[first : first + 1], n - 1)
    return np.concatenate([np.array([first]), others[picks]])
