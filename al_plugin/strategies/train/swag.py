"""A Gaussian over weights from one training."""

from typing import Annotated

from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.strategies.registry import Range, strategy
from al_plugin.strategies.train.provided import OF_A_COMMITTEE


@strategy(
    "swag",
    reference="Maddox, Garipov, Izmailov, Vetrov, Wilson (2019), SWAG; Izmailov et al. (2018), SWA",
    cost="one training; the weights file is rank + 2 times as large",
    use="A posterior over all weights for the price of one network.",
    provides=OF_A_COMMITTEE,
)
def swag(
    task: TrainingTask,
    *,
    hidden: Annotated[int, Range(1, None)] = 128,
    dropout: Annotated[float, Range(0, 0.95)] = 0.2,
    rank: Annotated[int, Range(0, None)] = 20,
    collect_share: Annotated[float, Range(0, 1)] = 0.5,
) -> Fitted:
    """The weights after each epoch of the last ``collect_share`` of a training, as a Gaussian.

    Its mean is their mean (SWA), which gives the log-probabilities and is evaluated and served; its
    covariance is half their variances and half that of the last ``rank`` deviations; below two of
    them the variances alone. Posterior samples are draws of all weights. The learning rate is
    constant, without train.schedule, warmup and patience. Not for batch normalisation.
    """
    from al_plugin.models.swag import averaged

    return averaged(task, hidden, dropout, rank, collect_share)
