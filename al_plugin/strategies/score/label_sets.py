"""Doubt about sets of labels, every label by itself."""

from typing import Annotated

from al_plugin.axes import FloatsN, FloatsNC, FloatsTNC
from al_plugin.math import label_doubt
from al_plugin.strategies.registry import OneOf, strategy

_SURVEY = "Wu, Sheng, Zhang, Zhang, Yang (2020), multi-label active learning, a survey"


@strategy(
    "label_entropy",
    reference=f"binary entropy by label; {_SURVEY}",
    cost="O(N C)",
    use="Multilabel, as a rule; with over max where one doubtful label is worth a question.",
)
def label_entropy(label_log_odds: FloatsNC, *, over: Annotated[str, OneOf(("mean", "max"))] = "mean") -> FloatsN:
    """High where labels are as likely as not.

    s = (1/C) Σ_c H(p_c), or max_c H(p_c), H(p) = -p log p - (1 - p) log (1 - p) in nats. Range [0, log 2].
    """
    return label_doubt.mean_entropy(label_log_odds) if over == "mean" else label_doubt.largest_entropy(label_log_odds)


@strategy(
    "label_margin",
    reference=f"Li & Guo (2013), multi-label active learning with SVMs, on probabilities; {_SURVEY}",
    cost="O(N C)",
    use="Multilabel where the one most doubtful label counts.",
)
def label_margin(label_log_odds: FloatsNC) -> FloatsN:
    """High where some label is nearly undecided.

    s = -min_c |2 p_c - 1|. Range [-1, 0].
    """
    return label_doubt.negative_margin(label_log_odds)


@strategy(
    "label_bald",
    reference="Houlsby, Huszár, Ghahramani, Lengyel (2011), summed over labels",
    cost="O(T N C), in blocks of the pool",
    use="Multilabel with dropout or an ensemble, where labels are noisy.",
)
def label_bald(mc_label_log_odds: FloatsTNC) -> FloatsN:
    """High where posterior samples are sure of different answers, label by label.

    s = (1/C) Σ_c [H(p̄_c) - (1/T) Σ_t H(p_tc)] in nats. Range [0, log 2]: 0 iff all samples agree.
    """
    return label_doubt.mutual_information(mc_label_log_odds)
