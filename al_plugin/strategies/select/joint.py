"""Batches by the information that their labels carry together."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsTNC, Picks
from al_plugin.math import batch_bald as greedy
from al_plugin.math.committee import mutual_information
from al_plugin.strategies.registry import Noted, Range, strategy
from al_plugin.strategies.select.stochastic import power


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
) -> Picks | Noted:
    """Greedily the candidates whose labels together tell most about the model.

    maximise I(y_S; ω) = H(y_S) - (1/T) Σ_t Σ_{i in S} H(p_t(y | x_i)), exactly while C^|S| <=
    configurations, then over that many drawn label combinations. The first pick is BALD's best. T
    posterior samples carry at most log T nats: once no gain exceeds its standard error the rest of the
    batch is drawn in proportion to BALD (as `power` does), which avoids copies better than BALD's order.
    Ties go to the first candidate in keyed order.
    """
    passes = len(mc_log_probs)
    picks, _, saturated_at = greedy.batch_bald(mc_log_probs, n, rng, configurations=configurations)
    if saturated_at is None:
        return picks
    rest = np.delete(np.arange(mc_log_probs.shape[1]), picks)
    drawn = power(mutual_information(mc_log_probs[:, rest]), n - saturated_at, rng)
    note = (
        f"batch_bald: the information of {passes} posterior samples is used up after {saturated_at} of {n} picks, "
        "the rest is drawn in proportion to BALD; raise score.passes or lower select.n"
    )
    return Noted(np.concatenate([picks, rest[drawn]]), note)
