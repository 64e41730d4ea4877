"""SWAG: the weights that one training passes through at its end, as a Gaussian over weights."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from al_plugin.axes import Floats
from al_plugin.errors import ModelError
from al_plugin.math.swag import WeightMoments
from al_plugin.models.checkpoint import State
from al_plugin.models.fit import fit, normalises_over_batches, seeded
from al_plugin.models.network import arrays_of, described, new_network, pool_classes, settings_of, tensors_of
from al_plugin.models.recorder import Recorder
from al_plugin.models.task import Fitted, TrainingTask


class Collected(WeightMoments):
    """Moments whose place in a training is kept."""

    def state(self) -> State:
        """Count, mean, squares and deviations."""
        return dict(vars(self))

    def resume(self, state: State) -> None:
        """Go on from there."""
        vars(self).update(state)


def flat(parameters: Iterable[Tensor]) -> Floats:
    """All weights one after the other, (P,), float64 on the CPU wherever they lie."""
    return np.concatenate([p.detach().cpu().reshape(-1).numpy() for p in parameters]).astype(np.float64)


def averaged(task: TrainingTask, hidden: int, dropout: float, rank: int, collect_share: float) -> Fitted:
    """Train, and collect the weights after each epoch of the last ``collect_share``, at least after the last.

    The rate stays at lr: one that falls would let the weights come to rest. The weights are the collected
    ones' mean; variances and deviations lie beside them under ``swag.``.
    """
    torch.set_num_threads(task.threads)
    first = task.epochs - max(1, round(collect_share * task.epochs))
    with seeded(task.seed):
        model = new_network(task, hidden=hidden, dropout=dropout)
        _refuse_batch_statistics(model, task)
        seen = Recorder(task, lambda: pool_classes(model, task))
        # Tied weights under each of their names: whichever is loaded last must be the mean too.
        parameters = dict(model.named_parameters(remove_duplicate=False))
        collected = Collected(sum(p.numel() for p in parameters.values()), rank)

        def on_epoch(epoch: int, _loss: float) -> None:
            if epoch >= first:
                collected.collect(flat(parameters.values()))

        fit(
            model,
            *tensors_of(task),
            settings_of(task),
            rate=lambda _: task.lr,
            seen=seen,
            on_epoch=on_epoch,
            keep=(collected,),
        )
    shapes = {name: tuple(p.shape) for name, p in parameters.items()}
    weights = arrays_of(model) | _by_name(collected.mean, shapes)
    weights |= _by_name(collected.variance(), shapes, "swag.variance.")
    weights |= _by_name(collected.deviations, shapes, "swag.deviations.")
    network = described(task, "swag", hidden=hidden, dropout=dropout)
    return Fitted(weights, network, seen.curve, seen.forgetting, seen.dispersion)


def _by_name(flat: Floats, shapes: dict[str, tuple[int, ...]], prefix: str = "") -> dict[str, np.ndarray]:
    """Vectors (..., P) cut into float32 arrays (..., shape) by name."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    parts = np.split(flat.astype(np.float32), ends[:-1], axis=-1)
    return {
        prefix + name: np.ascontiguousarray(part).reshape(*flat.shape[:-1], *shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def _refuse_batch_statistics(model: nn.Module, task: TrainingTask) -> None:
    if normalises_over_batches(model):
        raise ModelError(
            f"swag draws weights, and train.network {task.body.name} has batch normalisation, whose statistics "
            "would be those of other weights",
            change="take a network without it (nn.GroupNorm, nn.LayerNorm), or another training method",
        )
