"""What every training method records of one training: its curve and the training dynamics."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from al_plugin.axes import Ints
from al_plugin.math.dynamics import DispersionStream, ForgettingStream
from al_plugin.models.checkpoint import State, part, under
from al_plugin.models.task import TrainingTask


class Recorder:
    """What ``fit`` reports to: forgetting at each presentation, dispersion of the pool's predictions by epoch.

    ``predict`` gives the current classes of the whole pool (N,); it is called every
    ``dynamics_every`` epochs. Forgetting is counted on what the training forward pass saw, never on
    an extra pass. Epochs are counted through all fits that report here. Both are about classes: under
    other tasks there is the curve alone.
    """

    def __init__(self, task: TrainingTask, predict: Callable[[], Ints]) -> None:
        self.forgetting = ForgettingStream(len(task.labels))
        self.dispersion = DispersionStream(len(task.pool_features), task.n_classes)
        self.curve: dict[str, list[float]] = {"epoch": [], "loss": []}
        if task.kind == "classes":
            self.curve["train_accuracy"] = []
        self._task = task
        self._predict = predict
        self._seen: list[np.ndarray] = []

    def on_presentation(self, positions: Tensor, logits: Tensor) -> None:
        """Count right and wrong classifications of a batch's labelled samples."""
        if self._task.kind != "classes":
            return
        at = positions.numpy()
        correct = logits.argmax(dim=1).numpy() == self._task.labels[at]
        self.forgetting.present(at, correct)
        self._seen.append(correct)

    def on_epoch(self, loss: float, held_out_nll: float | None = None) -> None:
        """Close an epoch: one row of the curve, and the pool's predictions where they are due."""
        epoch = len(self.curve["epoch"])
        self.curve["epoch"].append(epoch)
        self.curve["loss"].append(loss)
        if self._task.kind == "classes":
            self.curve["train_accuracy"].append(float(np.concatenate(self._seen).mean()))
        if held_out_nll is not None:
            self.curve.setdefault("held_out_nll", []).append(held_out_nll)
        self._seen.clear()
        every = self._task.dynamics_every
        if every and (epoch + 1) % every == 0 and self._task.kind == "classes":
            self.dispersion.record(self._predict())

    def state(self) -> State:
        """Both streams, the curve, and what the running epoch has presented."""
        presented = {"seen": np.concatenate(self._seen)} if self._seen else {}
        streams = {**under("forgetting", vars(self.forgetting)), **under("dispersion", vars(self.dispersion))}
        return {"curve": self.curve, **presented, **streams}

    def resume(self, state: State) -> None:
        """Go on from there."""
        self.curve.clear()
        self.curve.update(state["curve"])
        self._seen[:] = [state["seen"]] if "seen" in state else []
        for name, stream in (("forgetting", self.forgetting), ("dispersion", self.dispersion)):
            vars(stream).update(part(state, name))
