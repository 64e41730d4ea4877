"""One network, fitted afresh each round."""

from typing import Annotated

from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.strategies.registry import Range, strategy
from al_plugin.strategies.train.provided import OF_ONE_NETWORK, OF_OTHER_TASKS
from al_plugin.targets import TASKS


@strategy(
    "single",
    reference="cross-entropy with AdamW; dynamics after Toneva et al. (2019)",
    cost="O(epochs · L) steps, and one pass over the pool per recorded epoch",
    use="The default: fast, and what most scores need.",
    provides=(*OF_ONE_NETWORK, *OF_OTHER_TASKS),
    tasks=TASKS,
    warm=True,
)
def single(
    task: TrainingTask,
    *,
    hidden: Annotated[int, Range(1, None)] = 128,
    dropout: Annotated[float, Range(0, 0.95)] = 0.2,
) -> Fitted:
    """A multilayer perceptron with training dynamics recorded at every presentation.

    Forgetting is counted on what the training forward pass saw, never on an extra pass; label
    dispersion on predictions of the whole pool every ``dynamics_every`` epochs.
    """
    # torch takes a second to import; reading this strategy's knobs must not.
    import torch

    from al_plugin.models.fit import seeded
    from al_plugin.models.network import arrays_of, described, recorded_fit

    torch.set_num_threads(task.threads)
    with seeded(task.seed):
        model, seen = recorded_fit(task, hidden=hidden, dropout=dropout)
    network = described(task, "mlp", hidden=hidden, dropout=dropout)
    return Fitted(arrays_of(model), network, seen.curve, seen.forgetting, seen.dispersion)
