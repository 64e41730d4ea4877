"""Forgetting events of a whole training set, and how alike two seeds count them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from al_plugin.math.dynamics import ForgettingStream
from al_plugin.models import fit as loop
from al_plugin.models.fit import fit, seeded
from al_plugin.models.forward import forward
from al_plugin.models.network import new_network, settings_of, tensors_of
from al_plugin.models.recorder import Recorder
from al_plugin.models.task import TrainingTask

from .images import Images, split, task_of
from .stats import Row

HIDDEN, TEST_EVERY, ALL = 128, 5, 10**9


@dataclass(frozen=True)
class Watched:
    """Share of unforgettable samples after each epoch, test accuracy by epoch where measured, and the counts."""

    shares: list[float]
    accuracies: dict[int, float]
    stream: ForgettingStream


def watched(task: TrainingTask, test: np.ndarray, test_labels: np.ndarray) -> Watched:
    """The training of ``single`` without dropout, looked at after each epoch."""
    torch.set_num_threads(task.threads)
    shares: list[float] = []
    accuracies: dict[int, float] = {}
    with seeded(task.seed):
        model = new_network(task, hidden=HIDDEN, dropout=0.0)
        seen = Recorder(task, lambda: np.empty(0, dtype=np.int64))

        def on_epoch(epoch: int, _loss: float) -> None:
            shares.append(float(seen.forgetting.unforgettable.mean()))
            print(f"epoch {epoch + 1}: unforgettable {shares[-1]:.4f}", flush=True)
            if (epoch + 1) % TEST_EVERY == 0 or epoch + 1 == task.epochs:
                predicted = forward(model, test)[0].argmax(axis=1)
                accuracies[epoch + 1] = float((predicted == test_labels).mean())
                print(f"test {accuracies[epoch + 1]:.4f}", flush=True)

        fit(
            model,
            *tensors_of(task),
            settings_of(task),
            seen=seen,
            on_epoch=on_epoch,
        )
    return Watched(shares, accuracies, seen.forgetting)


@contextmanager
def stochastic_gradient(momentum: float) -> Iterator[None]:
    """The training loop with SGD and momentum in place of AdamW: the paper's optimiser, which we do not offer."""

    class Sgd(loop.AdamW):
        def __init__(self, parameters: list[nn.Parameter], weight_decay: float) -> None:
            super().__init__(parameters, weight_decay)
            self._velocity = [torch.zeros_like(p) for p in parameters]

        def __call__(self, lr: float) -> None:
            with torch.no_grad():
                for parameter, moving in zip(self.parameters, self._velocity, strict=True):
                    if parameter.grad is not None:
                        moving.mul_(momentum).add_(parameter.grad)
                        parameter.sub_(lr * moving)

    usual, loop.AdamW = loop.AdamW, Sgd  # type: ignore[misc]
    try:
        yield
    finally:
        loop.AdamW = usual  # type: ignore[misc]


def forgetting(
    data: Images, *, seeds: int, epochs: int, lr: float, samples: int = ALL, batch_size: int = 64
) -> list[Row]:
    """Shares of unforgettable samples, and Pearson's correlation of two seeds' counts of forgetting events.

    Trained on the first ``samples`` of a random order, the same for all seeds.
    """
    found = []
    for seed in range(seeds):
        used = min(samples, len(data.train))
        whole = split(data, used, 0, pool=used, test=len(data.test))
        task = task_of(whole, epochs=epochs, lr=lr, batch_size=batch_size)
        found.append(watched(replace(task, seed=seed), whole.test, whole.test_labels))
    counts = [one.stream.forgotten.astype(np.float64) for one in found]
    alike = [float(np.corrcoef(counts[i], counts[j])[0, 1]) for i in range(seeds) for j in range(i)]
    marks = sorted({e for e in (1, 2, 5, 10, 15, 20, 25, 30, 40, 50, 100) if e <= epochs} | {epochs})
    return [
        {
            "samples": len(counts[0]),
            "epochs": epochs,
            "lr": lr,
            "unforgettable": [one.shares[-1] for one in found],
            "never learned": [float(one.stream.never_learned.sum()) for one in found],
            "events a sample": [float(count.mean()) for count in counts],
            "Pearson of seeds": alike,
            "test accuracy": [one.accuracies[epochs] for one in found],
            "share by epoch": ", ".join(f"{e}: {np.mean([one.shares[e - 1] for one in found]):.3f}" for e in marks),
        }
    ]


def forgetting_by_sgd(data: Images, *, seeds: int, epochs: int, lr: float, samples: int = ALL) -> list[Row]:
    """The same with the optimiser of Toneva et al.: SGD, momentum .5."""
    with stochastic_gradient(0.5):
        return forgetting(data, seeds=seeds, epochs=epochs, lr=lr, samples=samples)
