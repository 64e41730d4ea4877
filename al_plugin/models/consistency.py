"""A training that asks for the same prediction on a sample of the pool and on a distorted view of it."""

import numpy as np
import torch
from torch import Tensor, nn

from al_plugin.models.body import Network
from al_plugin.models.checkpoint import State
from al_plugin.models.fit import Step, cross_entropy, fit, seeded
from al_plugin.models.network import (
    arrays_of,
    described,
    new_network,
    own_seed,
    pool_classes,
    pool_without_held_out,
    settings_of,
    tensors_of,
)
from al_plugin.models.recorder import Recorder
from al_plugin.models.task import Fitted, TrainingTask


def consistency_loss(weak: Tensor, strong: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
    """(1/U) Σ 1[max q ≥ confidence] · CE(argmax q, strong), q = softmax(weak) without gradient; and the mask.

    ``weak``, ``strong`` (U, C) are logits; the mean is over all U samples, not over the confident
    ones. Source: Sohn et al. (2020).
    """
    best, classes = torch.softmax(weak.detach(), dim=1).max(dim=1)
    confident = best >= confidence
    losses = nn.functional.cross_entropy(strong, classes, reduction="none")
    return (losses * confident).mean(), confident


def strong_view(standardised: Tensor, noise: float, drop: float, generator: torch.Generator) -> Tensor:
    """Features (U, width) in units of their deviation, plus ``noise`` · N(0, 1), a share ``drop`` put to the mean."""
    noisy = standardised + noise * torch.randn(standardised.shape, generator=generator).to(standardised.device)
    return noisy * (torch.rand(standardised.shape, generator=generator) >= drop).to(standardised.device)


class Unlabelled:
    """The pool's part of the loss, on its own generator; ``close_epoch`` adds its shares to a curve.

    Views go through the network without dropout: the labelled part's draws stay those of a
    training on labels alone.
    """

    def __init__(self, model: Network, task: TrainingTask, confidence: float, noise: float, drop: float) -> None:
        self._model, self._pool = model, torch.from_numpy(np.ascontiguousarray(pool_without_held_out(task)))
        self._confidence, self._noise, self._drop = confidence, noise, drop
        self._generator = torch.Generator()
        self._generator.manual_seed(own_seed(task, 2))
        self._classes = torch.zeros(task.n_classes, dtype=torch.int64)
        self._seen = 0

    def loss(self, samples: int) -> Tensor:
        """The consistency loss of ``samples`` rows of the pool, drawn with replacement; 0 without any row."""
        model = self._model
        if not len(self._pool):
            return torch.zeros((), device=model.mean.device)
        drawn = torch.randint(len(self._pool), (samples,), generator=self._generator)
        rows = model.standardised(self._pool[drawn].to(model.mean.device))
        views = torch.cat([rows, strong_view(rows, self._noise, self._drop, self._generator)])
        was_training = model.training
        model.eval()
        weak, strong = model.head(model.embed(views)).chunk(2)
        model.train(was_training)
        value, confident = consistency_loss(weak, strong, self._confidence)
        self._classes += weak.argmax(dim=1)[confident].cpu().bincount(minlength=len(self._classes))
        self._seen += samples
        return value

    def close_epoch(self, curve: dict[str, list[float]]) -> None:
        """Share of samples that were confident, and of the largest class among them (0 without any)."""
        confident = int(self._classes.sum())
        curve.setdefault("confident_share", []).append(confident / max(self._seen, 1))
        curve.setdefault("largest_pseudo_class", []).append(int(self._classes.max()) / max(confident, 1))
        self._classes.zero_()
        self._seen = 0

    def state(self) -> State:
        """Where the generator stands, and what this epoch has counted."""
        return {"generator": self._generator.get_state().numpy(), "classes": self._classes.numpy(), "seen": self._seen}

    def resume(self, state: State) -> None:
        """Go on from there."""
        self._generator.set_state(torch.from_numpy(state["generator"]))
        self._classes, self._seen = torch.from_numpy(state["classes"]), state["seen"]


def consistent(
    task: TrainingTask,
    hidden: int,
    dropout: float,
    confidence: float,
    weight: float,
    ratio: int,
    noise: float,
    drop: float,
) -> Fitted:
    """Minimise cross-entropy + ``weight`` · consistency loss of ``ratio`` pool samples per labelled one."""
    torch.set_num_threads(task.threads)
    with seeded(task.seed):
        model = new_network(task, hidden=hidden, dropout=dropout)
        seen = Recorder(task, lambda: pool_classes(model, task))
        unlabelled = Unlabelled(model, task, confidence, noise, drop)

        def loss(step: Step) -> Tensor:
            return cross_entropy(step) + weight * unlabelled.loss(ratio * len(step.targets))

        def on_epoch(_epoch: int, _mean: float) -> None:
            unlabelled.close_epoch(seen.curve)

        fit(
            model,
            *tensors_of(task),
            settings_of(task),
            loss=loss,
            seen=seen,
            on_epoch=on_epoch,
            keep=(unlabelled,),
        )
    network = described(task, "mlp", hidden=hidden, dropout=dropout)
    return Fitted(arrays_of(model), network, seen.curve, seen.forgetting, seen.dispersion)
