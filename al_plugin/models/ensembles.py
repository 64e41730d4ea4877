"""Trainings that end in several networks."""

import copy
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import cos, pi

import numpy as np
import torch
from torch import Tensor

from al_plugin.axes import Ints
from al_plugin.models.checkpoint import Gathered
from al_plugin.models.fit import Step, fit, seeded
from al_plugin.models.network import (
    arrays_of,
    described,
    new_network,
    pool_classes,
    recorded_fit,
    settings_of,
    tensors_of,
)
from al_plugin.models.recorder import Recorder
from al_plugin.models.split_head import SplitHead
from al_plugin.models.task import Fitted, TrainingTask

# Rows of the labelled set that a member is trained on, None for all.
Sample = Callable[[int], Ints | None]


def independent(task: TrainingTask, members: int, hidden: int, dropout: float, sample: Sample) -> Fitted:
    """Members trained one by one, each from its own seed, on the rows that ``sample`` gives.

    The first sees every labelled sample and gives the training dynamics.
    """
    torch.set_num_threads(task.threads)
    weights: dict[str, np.ndarray] = {}
    seen = _first(task, hidden, dropout, weights)
    inputs, targets = tensors_of(task)
    for member in range(1, members):
        rows = sample(member)
        at = slice(None) if rows is None else torch.from_numpy(rows)
        with seeded(member_seed(task, member)):
            model = new_network(task, hidden=hidden, dropout=dropout, member=member)
            fit(model, inputs[at], targets[at], settings_of(task))
        weights |= arrays_of(model, f"members.{member}.")
    return _fitted(task, "ensemble", members, weights, seen, hidden=hidden, dropout=dropout)


def snapshots(task: TrainingTask, members: int, hidden: int, dropout: float) -> Fitted:
    """One training with cosine restarts; the network at the end of each cycle is a member."""
    torch.set_num_threads(task.threads)
    bounds = cycle_bounds(task.epochs, members)
    ends = [bound - 1 for bound in bounds[1:]]
    weights = Gathered()
    with seeded(task.seed):
        model = new_network(task, hidden=hidden, dropout=dropout, member=-1)
        seen = Recorder(task, lambda: pool_classes(model, task))

        def on_epoch(epoch: int, _loss: float) -> None:
            if epoch in ends:
                weights.update(arrays_of(model, f"members.{ends.index(epoch)}."))

        fit(
            model,
            *tensors_of(task),
            settings_of(task),
            rate=lambda epoch: cyclic_rate(epoch, bounds, task.lr),
            seen=seen,
            on_epoch=on_epoch,
            keep=(weights,),
        )
    return _fitted(task, "ensemble", len(ends), weights, seen, hidden=hidden, dropout=dropout)


def branched(task: TrainingTask, members: int, hidden: int, dropout: float, base_share: float) -> Fitted:
    """One base training, from which members train on with their own data order and dropout."""
    torch.set_num_threads(task.threads)
    base_epochs = int(base_share * task.epochs)
    weights: dict[str, np.ndarray] = {}
    with seeded(task.seed):
        model = new_network(task, hidden=hidden, dropout=dropout)
        seen = Recorder(task, lambda: pool_classes(model, task))
        fit(model, *tensors_of(task), replace(settings_of(task), epochs=base_epochs), seen=seen)
    base = copy.deepcopy(model.state_dict())
    for member in range(members):
        model.load_state_dict(base)
        with seeded(member_seed(task, member)):
            rest = replace(settings_of(task), epochs=task.epochs - base_epochs)
            fit(model, *tensors_of(task), rest, seen=seen if member == 0 else None)
        weights |= arrays_of(model, f"members.{member}.")
    return _fitted(task, "ensemble", members, weights, seen, hidden=hidden, dropout=dropout)


def split_heads(task: TrainingTask, members: int, hidden: int, dropout: float, share: float) -> Fitted:
    """One trunk with heads that each see their own share of the labelled samples."""
    torch.set_num_threads(task.threads)
    masks = np.random.default_rng([task.seed, members]).random((members, len(task.labels))) < share
    masks[:, masks.sum(axis=0) == 0] = True  # what no head would see, all do
    kept = torch.from_numpy(masks)
    with seeded(task.seed):
        model = SplitHead(new_network(task, hidden=hidden, dropout=dropout), members)

        def loss(step: Step) -> Tensor:
            here = kept[:, step.positions].to(step.targets.device)
            return SplitHead.loss(model.by_head, step.targets, here, step.class_weights)

        seen = Recorder(task, lambda: model.classes(task.pool_features))
        fit(
            model,
            *tensors_of(task),
            settings_of(task),
            loss=loss,
            seen=seen,
            keep=(),
        )
    return _fitted(task, "split_head", members, arrays_of(model), seen, hidden=hidden, dropout=dropout)


def cycle_bounds(epochs: int, members: int) -> list[int]:
    """Where cycles begin, and the end of the last: k T / M rounded, k = 0 to M; as many cycles as epochs at most."""
    cycles = min(members, epochs)
    return [(2 * k * epochs + cycles) // (2 * cycles) for k in range(cycles + 1)]


def cyclic_rate(epoch: int, bounds: Sequence[int], lr: float) -> float:
    """The cosine within the cycle that the epoch is in."""
    cycle = bisect_right(bounds, epoch)
    start, end = bounds[cycle - 1 : cycle + 1]
    return cosine_rate(epoch - start, end - start, lr)


def cosine_rate(epoch: int, cycle: int, lr: float) -> float:
    """½ lr (1 + cos(π (t mod n) / n)): ``lr`` at the start of every cycle of n epochs, near 0 at its end."""
    return 0.5 * lr * (1.0 + cos(pi * (epoch % cycle) / cycle))


def member_seed(task: TrainingTask, member: int) -> int:
    """A member's own 63-bit seed; the first keeps the task's, so that it is the single network."""
    if member == 0:
        return task.seed
    return int(np.random.SeedSequence([task.seed, member]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _first(task: TrainingTask, hidden: int, dropout: float, weights: dict[str, np.ndarray]) -> Recorder:
    with seeded(member_seed(task, 0)):
        model, seen = recorded_fit(task, hidden=hidden, dropout=dropout, member=0)
    weights |= arrays_of(model, "members.0.")
    return seen


def _fitted(
    task: TrainingTask,
    kind: str,
    members: int,
    weights: dict[str, np.ndarray],
    seen: Recorder,
    *,
    hidden: int,
    dropout: float,
) -> Fitted:
    network = described(task, kind, hidden=hidden, dropout=dropout) | {"members": members}
    return Fitted(weights, network, seen.curve, seen.forgetting, seen.dispersion)
