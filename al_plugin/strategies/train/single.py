"""One network, fitted afresh each round."""

from typing import Annotated

from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.strategies.registry import Range, strategy
from al_plugin.strategies.train.provided import OF_ONE_NETWORK


@strategy(
    "single",
    reference="cross-entropy with AdamW; dynamics after Toneva et al. (2019)",
    cost="O(epochs · L) steps, and one pass over the pool per recorded epoch",
    use="The default: fast, and what most scores need.",
    provides=OF_ONE_NETWORK,
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

    from al_plugin.models.fit import fit, seeded
    from al_plugin.models.network import arrays_of, described, new_network, pool_classes, settings_of, tensors_of
    from al_plugin.models.recorder import Recorder

    torch.set_num_threads(task.threads)
    with seeded(task.seed):
        model = new_network(task, hidden=hidden, dropout=dropout)
        seen = Recorder(task, lambda: pool_classes(model, task))
        fit(
            model,
            *tensors_of(task),
            settings_of(task),
            on_presentation=seen.on_presentation,
            on_epoch=seen.on_epoch,
        )
    network = described(task, "mlp", hidden=hidden, dropout=dropout)
    return Fitted(arrays_of(model), network, seen.curve, seen.forgetting, seen.dispersion)
