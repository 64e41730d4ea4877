"""A training that goes on with the network's own certain predictions as labels, for one round."""

from dataclasses import replace
from math import ceil

import numpy as np
import torch

from al_plugin.axes import Floats, Ints
from al_plugin.math.information import entropy
from al_plugin.models.fit import fit, seeded
from al_plugin.models.forward import forward
from al_plugin.models.network import (
    arrays_of,
    described,
    recorded_fit,
    settings_of,
    tensors_of,
    unlabeled_rows,
)
from al_plugin.models.task import Fitted, TrainingTask


def certain_positions(log_probs: Floats, threshold: float) -> Ints:
    """Positions of the rows of ``log_probs`` (N, C) with an entropy below ``threshold``, nats."""
    return np.flatnonzero(entropy(log_probs) < threshold)


def pseudo_labelled(
    task: TrainingTask, hidden: int, dropout: float, threshold: float, fine_tune_share: float
) -> Fitted:
    """Train, label what is certain, and fine-tune on both; ``threshold`` is this round's.

    The curve and the pool's dispersion are those of the first training; forgetting goes on through
    the fine-tuning, on labelled samples only.
    """
    torch.set_num_threads(task.threads)
    inputs, targets = tensors_of(task)
    labeled = len(targets)
    with seeded(task.seed):
        model, seen = recorded_fit(task, hidden=hidden, dropout=dropout)
        log_probs = forward(model, task.pool_features)[0]
        pseudo = np.intersect1d(certain_positions(log_probs, threshold), unlabeled_rows(task))

        def on_presentation(positions: torch.Tensor, logits: torch.Tensor) -> None:
            at, classes = positions.numpy(), logits.argmax(dim=1).numpy()
            own = at < labeled
            seen.forgetting.present(at[own], classes[own] == task.labels[at[own]])

        if len(pseudo):
            fit(
                model,
                torch.cat([inputs, torch.from_numpy(task.pool_features[pseudo])]),
                torch.cat([targets, torch.from_numpy(log_probs[pseudo].argmax(axis=1))]),
                replace(settings_of(task), epochs=ceil(fine_tune_share * task.epochs)),
                on_presentation=on_presentation,
                keep=(seen,),
            )
    network = described(task, "mlp", hidden=hidden, dropout=dropout)
    return Fitted(arrays_of(model), network, seen.curve, seen.forgetting, seen.dispersion, pseudo_positions=pseudo)
