"""A network and a cheaper one trained on the same labels, which scores the pool in its place."""

from dataclasses import replace

import numpy as np
import torch

from al_plugin.axes import FloatsN
from al_plugin.math.information import top_two
from al_plugin.math.proxy import rank_correlation
from al_plugin.models.body import Network
from al_plugin.models.fit import fit, seeded
from al_plugin.models.forward import forward
from al_plugin.models.network import arrays_of, described, new_network, recorded_fit, settings_of, tensors_of
from al_plugin.models.task import Fitted, TrainingTask


def with_proxy(task: TrainingTask, hidden: int, dropout: float, proxy_hidden: int, proxy_epochs: int) -> Fitted:
    """Train the target, then the proxy from the same seed; ``proxy_correlation`` says how alike they rank."""
    torch.set_num_threads(task.threads)
    with seeded(task.seed):
        target, seen = recorded_fit(task, hidden=hidden, dropout=dropout)
    with seeded(task.seed):
        proxy = new_network(task, hidden=proxy_hidden, dropout=dropout)
        fit(proxy, *tensors_of(task), replace(settings_of(task), epochs=proxy_epochs))
    correlation = rank_correlation(_margins(proxy, task), _margins(target, task))
    return Fitted(
        arrays_of(target) | arrays_of(proxy, "proxy."),
        described(task, "proxy", hidden=hidden, dropout=dropout) | {"proxy_hidden": proxy_hidden},
        seen.curve,
        seen.forgetting,
        seen.dispersion,
        metrics={"proxy_correlation": None if np.isnan(correlation) else correlation},
    )


def _margins(model: Network, task: TrainingTask) -> FloatsN:
    """p₍₁₎ - p₍₂₎ of every pool sample, (N,)."""
    first, second = top_two(forward(model, task.pool_features)[0].astype(np.float64))
    margins: FloatsN = np.exp(first) - np.exp(second)
    return margins
