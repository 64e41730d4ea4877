"""Worth of a label for the predictions that matter: those on target inputs."""

from typing import Annotated

import numpy as np

from al_plugin.axes import FloatsN, FloatsTMC, FloatsTNC
from al_plugin.math import target_information
from al_plugin.strategies.registry import OneOf, Range, strategy

_COST = "O(N C · T · M C), in blocks of the pool"
# Label combinations of the targets are drawn alike for every block of the pool, in every round.
_STREAM = 2021


@strategy(
    "epig",
    reference="Bickford Smith, Kirsch, Farquhar, Gal, Foster, Rainforth (2023)",
    cost=_COST,
    use="Messy pools: only what helps on the target inputs counts. About 100 targets and posterior samples.",
)
def epig(mc_log_probs: FloatsTNC, target_mc_log_probs: FloatsTMC) -> FloatsN:
    """High where the label would tell much about the label of a random target.

    s = (1/M) Σ_j I(y; y*_j | x, x*_j) in nats, over posterior samples shared by candidates and
    targets. Range [0, BALD]: 0 where all samples agree on the candidate, or on every target.
    """
    return target_information.expected_information(mc_log_probs, target_mc_log_probs)


@strategy(
    "jepig",
    reference="Kirsch, Rainforth, Gal (2021)",
    cost="O(N C · T · configurations), in blocks of the pool",
    use="As epig, where targets are few: with many their labels tell all and it nears bald.",
)
def jepig(
    mc_log_probs: FloatsTNC,
    target_mc_log_probs: FloatsTMC,
    *,
    configurations: Annotated[int, Range(1, None)] = 1000,
) -> FloatsN:
    """High where the label would tell much about the labels of all targets together.

    s = I(y; y*_1, ..., y*_M) = BALD(x) - E[BALD(x) given y*_1, ..., y*_M] in nats, exactly while
    C^M <= configurations, then over that many drawn label combinations, the same for every
    candidate. Range [0, BALD], and at least epig up to the error of the draw.
    """
    rng = np.random.default_rng(_STREAM)
    return target_information.joint_information(mc_log_probs, target_mc_log_probs, rng, configurations=configurations)


@strategy(
    "eer_committee",
    reference="Roy & McCallum (2001)",
    cost=_COST,
    use="Expected error reduction without retraining; with log loss it is epig.",
)
def eer_committee(
    mc_log_probs: FloatsTNC,
    target_mc_log_probs: FloatsTMC,
    *,
    loss: Annotated[str, OneOf(("log", "zero_one"))] = "zero_one",
) -> FloatsN:
    """High where the label is expected to lower the risk on the target inputs most.

    s = R(p̄) - Σ_y p̄(y | x) R(p̄ given y), R the mean over targets of the entropy in nats (log) or of
    1 - max_c p_c (zero_one); a label reweights the posterior samples by p_t(y | x). Range
    [0, log C] and [0, 1 - 1/C].
    """
    if loss == "log":
        return target_information.expected_information(mc_log_probs, target_mc_log_probs)
    return target_information.expected_error_reduction(mc_log_probs, target_mc_log_probs)
