"""Strategies that must lose or draw: controls of benchmarks/acceptance.py."""

from hashlib import blake2b

import numpy as np

from al_plugin.axes import FloatsN, FloatsNC, KeysN
from al_plugin.math.sampling import unit_interval
from al_plugin.strategies.registry import load, strategy


@strategy("reversed_margin", reference="control", cost="O(N C)", use="Margin with the wrong sign: below random.")
def reversed_margin(log_probs: FloatsNC) -> FloatsN:
    """High where the model is surest: -margin."""
    scores: FloatsN = -load("score", "margin").function(log_probs)
    return scores


@strategy(
    "shuffled_margin", reference="control", cost="O(N log N)", use="Margin's scores, dealt out by chance: random."
)
def shuffled_margin(log_probs: FloatsNC, sample_keys: KeysN) -> FloatsN:
    """Margin's scores in another order, which the samples' keys give."""
    scores: FloatsN = load("score", "margin").function(log_probs)
    # The samples' order by key is one chance, another is drawn from all keys together.
    seed = int.from_bytes(blake2b(sample_keys.tobytes(), digest_size=8).digest(), "little")
    order = np.argsort(unit_interval(sample_keys), kind="stable")
    shuffled = np.empty_like(scores)
    shuffled[order] = np.random.default_rng(seed).permutation(scores)
    return shuffled
