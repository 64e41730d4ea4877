"""A network and a cheaper one trained on the same labels, which scores the pool in its place."""

from dataclasses import replace

import numpy as np
import torch

from al_plugin.axes import FloatsN
from al_plugin.math.dynamics import ForgettingStream
from al_plugin.math.information import top_two
from al_plugin.math.proxy import forgetting_coreset, rank_correlation
from al_plugin.models.body import Network
from al_plugin.models.fit import seeded
from al_plugin.models.forward import forward
from al_plugin.models.network import arrays_of, described, recorded_fit
from al_plugin.models.task import Fitted, TrainingTask


def with_proxy(
    task: TrainingTask, hidden: int, dropout: float, proxy_hidden: int, proxy_epochs: int, keep: float
) -> Fitted:
    """Train the proxy, then the target from the same seed; ``proxy_correlation`` says how alike they rank.

    With ``keep`` below 1 the target trains on the samples that the proxy forgot most; the forgetting
    is then the proxy's, which alone met every sample.
    """
    torch.set_num_threads(task.threads)
    with seeded(task.seed):
        proxy, by_proxy = recorded_fit(_short(task, proxy_epochs), hidden=proxy_hidden, dropout=dropout)
    kept = task if keep == 1 else _coreset(task, by_proxy.forgetting, keep)
    with seeded(task.seed):
        target, seen = recorded_fit(kept, hidden=hidden, dropout=dropout)
    metrics = {} if kept is task else {"kept_labels": float(len(kept.labels))}
    correlation = rank_correlation(_margins(proxy, task), _margins(target, task))
    return Fitted(
        arrays_of(target) | arrays_of(proxy, "proxy."),
        described(task, "proxy", hidden=hidden, dropout=dropout) | {"proxy_hidden": proxy_hidden},
        seen.curve,
        seen.forgetting if kept is task else by_proxy.forgetting,
        seen.dispersion,
        metrics=metrics | {"proxy_correlation": None if np.isnan(correlation) else correlation},
    )


def _short(task: TrainingTask, epochs: int) -> TrainingTask:
    """The task in fewer epochs, with no look at the pool."""
    return replace(task, epochs=epochs, dynamics_every=0)


def _coreset(task: TrainingTask, stream: ForgettingStream, keep: float) -> TrainingTask:
    """The task on its most forgotten share ``keep``; ties in a keyed random order, positions in the task's."""
    order = np.random.default_rng([task.seed, 3]).permutation(len(task.labels))
    events, never, labels = stream.forgotten[order], stream.never_learned[order], task.labels[order]
    kept = np.sort(order[forgetting_coreset(events, never, labels, round(keep * len(order)))])
    return replace(task, features=task.features[kept], labels=task.labels[kept])


def _margins(model: Network, task: TrainingTask) -> FloatsN:
    """p₍₁₎ - p₍₂₎ of every pool sample, (N,)."""
    first, second = top_two(forward(model, task.pool_features)[0].astype(np.float64))
    margins: FloatsN = np.exp(first) - np.exp(second)
    return margins
