"""The network of a training task: made to fit it, standardised on the pool, taken apart into arrays."""

import numpy as np
import torch
from torch import Tensor, nn

from al_plugin.axes import Floats, Ints
from al_plugin.math.distinct import copied
from al_plugin.math.moments import moments
from al_plugin.models.body import Network, build
from al_plugin.models.fit import FitSettings, fit
from al_plugin.models.forward import classes
from al_plugin.models.recorder import Recorder
from al_plugin.models.task import Description, TrainingTask
from al_plugin.models.warm import warm_up


def new_network(task: TrainingTask, *, hidden: int, dropout: float, member: int | None = None) -> Network:
    """A fresh network of the task's body whose buffers standardise by the pool; draws from torch's generator.

    Where the task has a start, it starts from the network there, or from that ``member``.
    """
    width = task.features.shape[1]
    model = build(task.body, width, task.n_classes, hidden=hidden, dropout=dropout)
    mean, deviation = moments(task.pool_features, task.body.groups or width)
    model.standardise(torch.from_numpy(mean.astype(np.float32)), torch.from_numpy(deviation.astype(np.float32)))
    if task.start is not None:
        warm_up(model, task, task.start, member)
    return model


def recorded_fit(
    task: TrainingTask, *, hidden: int, dropout: float, member: int | None = None
) -> tuple[Network, Recorder]:
    """A new network fitted to the task, with its dynamics; call inside ``seeded``."""
    model = new_network(task, hidden=hidden, dropout=dropout, member=member)
    seen = Recorder(task, lambda: pool_classes(model, task))
    fit(model, *tensors_of(task), settings_of(task), seen=seen)
    return model, seen


def own_seed(task: TrainingTask, stream: int) -> int:
    """A seed beside the task's, so that the task network's draws stay as they are."""
    return int(np.random.default_rng([task.seed, stream]).integers(2**31))


def unlabeled_rows(task: TrainingTask) -> Ints:
    """Pool rows that are not exact copies of a labelled sample, held out or not: a task does not say more."""
    labeled = task.features if task.held_features is None else np.concatenate([task.features, task.held_features])
    return np.flatnonzero(~copied(task.pool_features, labeled))


def pool_without_held_out(task: TrainingTask) -> Floats:
    """Pool rows that are not exact copies of a held-out sample: those must not shape the network."""
    if task.held_features is None:
        return task.pool_features
    return task.pool_features[~copied(task.pool_features, task.held_features)]


def described(task: TrainingTask, kind: str, *, hidden: int, dropout: float) -> Description:
    """The card's description, from which ``restore`` rebuilds the network."""
    description: Description = {
        "kind": kind,
        "body": task.body.name,
        "shape": list(task.body.shape or task.features.shape[1:]),
        "classes": task.n_classes,
        "hidden": hidden,
        "dropout": dropout,
    }
    if task.kind == "regression":
        mean, scale = value_scale(task)
        return description | {"task": task.kind, "target_mean": mean, "target_scale": scale}
    return description if task.kind == "classes" else description | {"task": task.kind}


def value_scale(task: TrainingTask) -> tuple[float, float]:
    """Mean and deviation of the labelled numbers, by which they are standardised; deviation 1 where all are alike."""
    return float(task.labels.mean()), float(task.labels.std()) or 1.0


def _targets(task: TrainingTask, labels: np.ndarray) -> Tensor:
    """Labels as the loss takes them: class indices, 0 or 1, or standardised numbers."""
    if task.kind == "classes":
        return torch.from_numpy(labels)
    if task.kind == "regression":
        mean, scale = value_scale(task)
        labels = (labels - mean) / scale
    return torch.from_numpy(labels.astype(np.float32))


def settings_of(task: TrainingTask) -> FitSettings:
    """The task's settings for ``fit``."""
    held = None
    if task.held_features is not None and task.held_labels is not None:
        held = torch.from_numpy(task.held_features), _targets(task, task.held_labels)
    weights = balanced_weights(task.labels, task.n_classes) if task.options.class_weights == "balanced" else None
    return FitSettings(
        task.epochs,
        task.batch_size,
        task.lr,
        task.weight_decay,
        task.seed,
        task.options,
        None if weights is None else torch.from_numpy(weights),
        held,
        task.kind,
        task.checkpoints,
        task.progress,
    )


def balanced_weights(labels: Ints, n_classes: int) -> Floats:
    """Weight n / (C_seen n_c) of each class (C,), float32, mean 1 over the labels; 0 for a class without one."""
    counts = np.bincount(labels, minlength=n_classes)
    weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 0.0).astype(np.float32)


def tensors_of(task: TrainingTask) -> tuple[Tensor, Tensor]:
    """Features and targets of the labelled samples as tensors."""
    return torch.from_numpy(task.features), _targets(task, task.labels)


def pool_classes(model: Network, task: TrainingTask) -> Ints:
    """Predicted class of every pool sample, (N,)."""
    return classes(model, task.pool_features)


def arrays_of(model: nn.Module, prefix: str = "") -> dict[str, np.ndarray]:
    """Copies of a module's parameters and buffers by name."""
    return {prefix + name: tensor.detach().cpu().numpy().copy() for name, tensor in model.state_dict().items()}
