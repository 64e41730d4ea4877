"""Batches for regression: far from what is labelled, in inputs, in predicted numbers, or in both."""

from al_plugin.axes import FloatsL, FloatsLD, FloatsN, FloatsND, Picks
from al_plugin.math import value_sampling
from al_plugin.math.geometry import farthest_first
from al_plugin.strategies.registry import strategy

_WU = "Wu, Lin, Huang (2019), active learning for regression using greedy sampling"


@strategy(
    "gsx",
    reference=f"{_WU}; Yu & Kim (2010)",
    cost="O(L N D) once, then lazily; at most O((L + n) N D)",
    use="Regression with few labels: it looks at no model.",
    greedy=True,
)
def gsx(frozen_embeddings: FloatsND, labeled_frozen_embeddings: FloatsLD, n: int) -> Picks:
    """GSx: repeatedly the candidate farthest from everything labelled or picked, in standardised features.

    argmax_i min_{m in L ∪ S} ‖x_i - x_m‖; with nothing labelled the first is the one nearest to the mean.
    Ties go to the first candidate in keyed order.
    """
    picks, _ = farthest_first(frozen_embeddings, labeled_frozen_embeddings, n)
    return picks


@strategy(
    "gsy",
    reference=_WU,
    cost="O((L + n) N)",
    use="Regression where rare outputs matter; it looks at the outputs alone.",
    greedy=True,
)
def gsy(values: FloatsN, answers: FloatsL, n: int) -> Picks:
    """GSy: repeatedly the candidate whose prediction is farthest from every known number.

    argmax_i min_{m in L ∪ S} |f(x_i) - y_m|. Within a batch a picked sample counts with its prediction, since
    its number is not known yet (the paper asks one by one). Ties go to the first candidate in keyed order.
    """
    return value_sampling.far_in_outputs(values, answers, n)


@strategy(
    "igs",
    reference=_WU,
    cost="O((L + n) N D)",
    use="Regression with a model worth asking: far in features and in outputs at once.",
    greedy=True,
)
def igs(
    frozen_embeddings: FloatsND, values: FloatsN, labeled_frozen_embeddings: FloatsLD, answers: FloatsL, n: int
) -> Picks:
    """Improved greedy sampling: repeatedly the candidate farthest from what is known in features and outputs.

    argmax_i min_{m in L ∪ S} ‖x_i - x_m‖ |f(x_i) - y_m|; a picked sample counts with its prediction.
    Ties go to the first candidate in keyed order.
    """
    return value_sampling.far_in_both(frozen_embeddings, values, labeled_frozen_embeddings, answers, n)
