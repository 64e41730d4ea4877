"""Disagreement of a committee or posterior: dropout passes, ensemble members."""

from al_plugin.axes import FloatsN, FloatsTNC
from al_plugin.math import committee
from al_plugin.strategies.registry import strategy

_COST = "O(T N C), in blocks of the pool: T x N x C is never held"


@strategy(
    "bald",
    reference="Houlsby, Huszár, Ghahramani, Lengyel (2011); Gal, Islam, Ghahramani (2017)",
    cost=_COST,
    use="Deep nets with dropout or an ensemble; add noise (power) or a diverse batch on redundant pools.",
)
def bald(mc_log_probs: FloatsTNC) -> FloatsN:
    """High where posterior samples are sure of different classes.

    s = H(p̄) - (1/T) Σ_t H(p_t) in nats. Range [0, log min(T, C)]: 0 iff all samples agree.
    """
    return committee.mutual_information(mc_log_probs)


@strategy(
    "qbc_kl",
    reference="McCallum & Nigam (1998)",
    cost=_COST,
    use="Query by committee in its soft form; the same number as bald.",
)
def qbc_kl(mc_log_probs: FloatsTNC) -> FloatsN:
    """High where members are far from their mean.

    s = (1/T) Σ_t KL(p_t ‖ p̄) in nats, equal to bald. Range [0, log min(T, C)].
    """
    return committee.mutual_information(mc_log_probs)


@strategy(
    "consensus_entropy",
    reference="Dagan & Engelson (1995), soft form; predictive entropy of Gal et al. (2017)",
    cost=_COST,
    use="An ensemble's total uncertainty: noise in the labels counts too.",
)
def consensus_entropy(mc_log_probs: FloatsTNC) -> FloatsN:
    """High where the mean prediction is spread over many classes.

    s = H(p̄) in nats. Range [0, log C].
    """
    return committee.predictive_entropy(mc_log_probs)


@strategy(
    "vote_entropy",
    reference="Dagan & Engelson (1995)",
    cost=_COST,
    use="Committees of hard classifiers.",
)
def vote_entropy(mc_log_probs: FloatsTNC) -> FloatsN:
    """High where members vote for many classes.

    s = -Σ_c v_c log v_c in nats, v_c the share of members whose best class is c. Range [0, log min(T, C)].
    """
    return committee.vote_entropy(mc_log_probs)


@strategy(
    "variation_ratio",
    reference="Freeman (1965); Gal, Islam, Ghahramani (2017)",
    cost=_COST,
    use="Hard disagreement with few passes; ties are many, so a random or diverse batch should break them.",
)
def variation_ratio(mc_log_probs: FloatsTNC) -> FloatsN:
    """High where the most popular class has few of the votes.

    s = 1 - max_c v_c, v_c the share of members whose best class is c. Range [0, 1 - 1/min(T, C)].
    """
    return committee.variation_ratio(mc_log_probs)


@strategy(
    "mean_std",
    reference="Kampffmeyer, Salberg, Jenssen (2016); Gal, Islam, Ghahramani (2017)",
    cost=_COST,
    use="Segmentation and other many-output models.",
)
def mean_std(mc_log_probs: FloatsTNC) -> FloatsN:
    """High where class probabilities vary over posterior samples.

    s = (1/C) Σ_c sqrt(Var_t p_tc). Range [0, 1/2]: 0 iff all samples agree.
    """
    return committee.mean_deviation(mc_log_probs)
