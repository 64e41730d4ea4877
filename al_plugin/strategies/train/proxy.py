"""Two networks: a cheap one chooses, a large one is the model."""

from typing import Annotated

from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.strategies.registry import Range, strategy
from al_plugin.strategies.train.provided import OF_ONE_NETWORK


@strategy(
    "proxy",
    reference="Coleman et al. (2020), selection via proxy; Toneva et al. (2019) for keep",
    cost="one training of the target and one of the proxy; scores cost those of the proxy",
    use="A large pool, and a target that is dear to run over it; watch proxy_correlation.",
    provides=OF_ONE_NETWORK,
)
def proxy(
    task: TrainingTask,
    *,
    hidden: Annotated[int, Range(1, None)] = 128,
    dropout: Annotated[float, Range(0, 0.95)] = 0.2,
    proxy_hidden: Annotated[int, Range(1, None)] = 32,
    proxy_epochs_share: Annotated[float, Range(0, 1)] = 0.5,
    keep: Annotated[float, Range(0, 1)] = 1.0,
) -> Fitted:
    """The target is evaluated and served; a smaller network on the same labels scores the pool.

    The proxy has ``proxy_hidden`` units and trains for ``proxy_epochs_share`` of the epochs, at least
    one. All signals of the pool are the proxy's, but pool_dispersion and pool_flips: training dynamics are the
    target's. ``proxy_correlation`` is Spearman's correlation of both networks' margins over the pool.
    With ``keep`` below 1 the target trains on that share of the labels alone: those that the proxy never
    learned, then those it forgot most often, at least one per class. Forgetting is then the proxy's.
    """
    from al_plugin.models.proxy import with_proxy

    return with_proxy(task, hidden, dropout, proxy_hidden, max(1, round(proxy_epochs_share * task.epochs)), keep)
