"""Whether a sample needs a label, or another one."""

from al_plugin.axes import FloatsN, FloatsNC, IntsNA
from al_plugin.math.annotators import consensus_quality, crowdlab_trust
from al_plugin.strategies.registry import strategy


@strategy(
    "active_lab",
    reference="Goh & Mueller (2023), ActiveLab; Goh, Tkachenko, Mueller (2022), CROWDLAB",
    cost="O(N (C + A)) and O(A² M) for M samples with several answers",
    use="Several annotators who err: new samples and second opinions compete on one scale (select.relabel).",
    expected_failures={"chunks_agree": "annotators are judged by all their answers"},
)
def active_lab(log_probs: FloatsNC, annotations: IntsNA) -> FloatsN:
    """High where model and annotators together leave most doubt, for samples with and without labels.

    s = -(w_M p_k + Σ_j w_j P(k | answer_j) + w̄ / C) / (w_M + Σ_j w_j + w̄) for the consensus class k, the
    sum over the annotators who answered, w by how often they agree, w̄ their mean. Range [-1, 0): -1
    where there is no doubt. Probabilities are used as they are (the paper scales their temperature), and
    those of labelled samples come from a model that has seen them; weights are estimated once, from
    majority labels (cleanlab estimates them again from the consensus).
    """
    return -consensus_quality(log_probs, annotations, crowdlab_trust(log_probs, annotations))
