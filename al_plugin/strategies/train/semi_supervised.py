"""Networks that also learn from samples without a label."""

from typing import Annotated

from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.strategies.registry import Range, strategy
from al_plugin.strategies.train.provided import OF_ONE_NETWORK


@strategy(
    "ceal",
    reference="Wang, Zhang, Li, Zhang, Lin (2017), cost-effective active learning",
    cost="one training, and fine_tune_share of one on labelled and pseudo-labelled samples",
    use="A calibrated network past its first rounds: certain predictions are nearly always right.",
    provides=OF_ONE_NETWORK,
    warm=True,
)
def ceal(
    task: TrainingTask,
    *,
    hidden: Annotated[int, Range(1, None)] = 128,
    dropout: Annotated[float, Range(0, 0.95)] = 0.2,
    threshold: Annotated[float, Range(0, None)] = 0.05,
    decay: Annotated[float, Range(0, None)] = 0.0033,
    fine_tune_share: Annotated[float, Range(0, 1)] = 0.2,
) -> Fitted:
    """Train as ``single``, label what is certain by the network itself, and fine-tune on both.

    Pseudo-labelled is the pool sample with entropy < max(threshold - decay · round, 0), nats, unless
    it is an exact copy of a labelled one. Pseudo-labels serve this one training and are kept
    nowhere: the samples stay candidates. Fine-tuning takes ``fine_tune_share`` of the epochs beyond
    them; curve and label dispersion end before it. Threshold 0 is ``single``.
    """
    from al_plugin.models.pseudo_labels import pseudo_labelled

    return pseudo_labelled(task, hidden, dropout, max(threshold - decay * task.round, 0.0), fine_tune_share)


@strategy(
    "consistency",
    reference="Sohn et al. (2020), FixMatch; views of vectors are ours",
    cost="one training with 2 · ratio further rows per labelled one in each step",
    use="Few labels, a large pool, and features of which noise does not change the class.",
    provides=OF_ONE_NETWORK,
    warm=True,
)
def consistency(
    task: TrainingTask,
    *,
    hidden: Annotated[int, Range(1, None)] = 128,
    dropout: Annotated[float, Range(0, 0.95)] = 0.2,
    confidence: Annotated[float, Range(0, None)] = 0.95,
    weight: Annotated[float, Range(0, None)] = 1.0,
    ratio: Annotated[int, Range(1, None)] = 7,
    noise: Annotated[float, Range(0, None)] = 0.5,
    feature_dropout: Annotated[float, Range(0, 0.95)] = 0.2,
) -> Fitted:
    """Learn that a distorted pool sample is of the class that the undistorted one is confidently given.

    L = CE(labelled) + weight · (1/U) Σ_u 1[max q_u ≥ confidence] · CE(argmax q_u, p(strong u)), over
    U = ratio · B pool samples per step; q is of the sample as it is, without gradient. The strong
    view adds ``noise`` deviations and puts a share ``feature_dropout`` of the features to their
    mean. Weights are not averaged: a round has too few steps for it. Weight 0 or confidence above 1
    is ``single``.
    """
    from al_plugin.models.consistency import consistent

    return consistent(task, hidden, dropout, confidence, weight, ratio, noise, feature_dropout)
