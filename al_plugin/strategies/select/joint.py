"""Batches by the information that their labels carry together."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsTNC, Picks
from al_plugin.math import batch_bald as greedy
from al_plugin.math.committee import mutual_information
from al_plugin.strategies.registry import Range, strategy


@strategy(
    "batch_bald",
    reference="Kirsch, van Amersfoort, Gal (2019)",
    cost="O(T N C), then O(T C configurations) per evaluation, lazily",
    use="Redundant pools and batches of up to about 20, with at least 50 posterior samples.",
    greedy=True,
    expected_failures={
        "rng_decides": "while the labels of the picks have at most `configurations` combinations nothing is drawn"
    },
)
def batch_bald(
    mc_log_probs: FloatsTNC,
    n: int,
    rng: np.random.Generator,
    *,
    configurations: Annotated[int, Range(1, None)] = 10_000,
) -> Picks:
    """Greedily the candidates whose labels together tell most about the model.

    maximise I(y_S; ω) = H(y_S) - (1/T) Σ_t Σ_{i in S} H(p_t(y | x_i)), exactly while C^|S| <=
    configurations, then over that many drawn label combinations. The first pick is BALD's best. T
    posterior samples carry at most log T nats: once no gain exceeds its standard error the batch is
    filled by BALD. Ties go to the first candidate in keyed order.
    """
    picks, _, saturated_at = greedy.batch_bald(mc_log_probs, n, rng, configurations=configurations)
    if saturated_at is None:
        return picks
    ranked = np.argsort(-mutual_information(mc_log_probs), kind="stable")
    return np.concatenate([picks, ranked[~np.isin(ranked, picks)][: n - saturated_at]])
