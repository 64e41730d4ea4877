"""What every training method records of one training: its curve and the training dynamics."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from al_plugin.axes import Ints
from al_plugin.math.dynamics import DispersionStream, ForgettingStream
from al_plugin.models.task import TrainingTask


class Recorder:
    """Hooks for ``fit``: forgetting at each presentation, dispersion of the pool's predictions by epoch.

    ``predict`` gives the current classes of the whole pool (N,); it is called every
    ``dynamics_every`` epochs. Forgetting is counted on what the training forward pass saw, never on
    an extra pass.
    """

    def __init__(self, task: TrainingTask, predict: Callable[[], Ints]) -> None:
        self.forgetting = ForgettingStream(len(task.labels))
        self.dispersion = DispersionStream(len(task.pool_features), task.n_classes)
        self.curve: dict[str, list[float]] = {"epoch": [], "loss": [], "train_accuracy": []}
        self._task = task
        self._predict = predict
        self._seen: list[np.ndarray] = []

    def on_presentation(self, positions: Tensor, logits: Tensor) -> None:
        """Count right and wrong classifications of a batch's labelled samples."""
        at = positions.numpy()
        correct = logits.argmax(dim=1).numpy() == self._task.labels[at]
        self.forgetting.present(at, correct)
        self._seen.append(correct)

    def on_epoch(self, epoch: int, loss: float) -> None:
        """Close an epoch: one row of the curve, and the pool's predictions where they are due."""
        self.curve["epoch"].append(epoch)
        self.curve["loss"].append(loss)
        self.curve["train_accuracy"].append(float(np.concatenate(self._seen).mean()))
        self._seen.clear()
        every = self._task.dynamics_every
        if every and (epoch + 1) % every == 0:
            self.dispersion.record(self._predict())
