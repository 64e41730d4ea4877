"""The best scores, or a uniform draw."""

import numpy as np

from al_plugin.axes import FloatsN, KeysN, Picks
from al_plugin.math.sampling import best_first
from al_plugin.strategies.registry import strategy


@strategy(
    "top",
    reference="ranked batch of the n best scores",
    cost="O(N + n log n)",
    use="Small batches, or a pool without near-duplicates.",
    greedy=True,
)
def top(scores: FloatsN, n: int) -> Picks:
    """The n highest scores, best first; ties go to the first candidate in keyed order."""
    return best_first(scores, n)


@strategy(
    "random",
    reference="simple random sampling without replacement",
    cost="O(N)",
    use="The control, and an unbiased evaluation sample.",
    greedy=True,
)
def random(sample_keys: KeysN, n: int, rng: np.random.Generator) -> Picks:
    """n candidates drawn uniformly without replacement: each has inclusion probability n / N."""
    return rng.permutation(len(sample_keys))[:n]
