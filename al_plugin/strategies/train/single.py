"""One network, fitted afresh each round."""

from typing import Annotated

import numpy as np

from al_plugin.math.dynamics import DispersionStream, ForgettingStream
from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.strategies.registry import Range, strategy


@strategy(
    "single",
    reference="cross-entropy with AdamW; dynamics after Toneva et al. (2019)",
    cost="O(epochs · L) steps, and one pass over the pool per recorded epoch",
    use="The default: fast, and what most scores need.",
    provides=(
        "log_probs",
        "embeddings",
        "mc_log_probs",
        "target_mc_log_probs",
        "head_weight",
        "head_bias",
        "output_deviations",
        "dropped_labels",
        "word_gradients",
        "pool_dispersion",
        "pool_flips",
    ),
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

    from al_plugin.models.fit import FitSettings, fit, seeded
    from al_plugin.models.forward import forward
    from al_plugin.models.mlp import Mlp

    torch.set_num_threads(task.threads)
    network = {"width": task.features.shape[1], "classes": task.n_classes, "hidden": hidden, "dropout": dropout}
    forgetting = ForgettingStream(len(task.labels))
    dispersion = DispersionStream(len(task.pool_features), task.n_classes)
    curve: dict[str, list[float]] = {"epoch": [], "loss": [], "train_accuracy": []}
    seen: list[np.ndarray] = []
    settings = FitSettings(task.epochs, task.batch_size, task.lr, task.weight_decay, task.seed)

    with seeded(task.seed):
        model = Mlp(task.features.shape[1], task.n_classes, hidden=hidden, dropout=dropout)
        pool = task.pool_features.astype(np.float64)
        model.standardise(
            torch.from_numpy(pool.mean(axis=0).astype(np.float32)),
            torch.from_numpy(pool.std(axis=0).astype(np.float32)),
        )

        def on_presentation(positions: torch.Tensor, logits: torch.Tensor) -> None:
            at = positions.numpy()
            correct = logits.argmax(dim=1).numpy() == task.labels[at]
            forgetting.present(at, correct)
            seen.append(correct)

        def on_epoch(epoch: int, loss: float) -> None:
            curve["epoch"].append(epoch)
            curve["loss"].append(loss)
            curve["train_accuracy"].append(float(np.concatenate(seen).mean()))
            seen.clear()
            if task.dynamics_every and (epoch + 1) % task.dynamics_every == 0:
                dispersion.record(forward(model, task.pool_features)[0].argmax(axis=1))

        fit(
            model,
            torch.from_numpy(task.features),
            torch.from_numpy(task.labels),
            settings,
            on_presentation=on_presentation,
            on_epoch=on_epoch,
        )
    weights = {name: tensor.detach().numpy().copy() for name, tensor in model.state_dict().items()}
    return Fitted(weights, network, curve, forgetting, dispersion)
