"""Bayes by Backprop: every weight a Gaussian, trained by its variational free energy."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from al_plugin.models.fit import Step, cross_entropy, fit, seeded
from al_plugin.models.network import arrays_of, described, new_network, pool_classes, settings_of, tensors_of
from al_plugin.models.recorder import Recorder
from al_plugin.models.task import Fitted, TrainingTask


@dataclass(frozen=True)
class Prior:
    """mix N(0, wide²) + (1 - mix) N(0, narrow²) for each weight."""

    mix: float
    wide: float
    narrow: float

    def log_density(self, weights: Tensor) -> Tensor:
        """Sum of log densities over all entries of ``weights``."""
        parts = [log_normal(weights, torch.zeros(()), torch.tensor(s)) for s in (self.wide, self.narrow)]
        shares = torch.tensor([self.mix, 1 - self.mix], dtype=weights.dtype).log()
        return torch.logaddexp(parts[0] + shares[0], parts[1] + shares[1]).sum()


def log_normal(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Log density of N(mean, scale²) at ``x``, by entry."""
    return -0.5 * ((x - mean) / scale) ** 2 - scale.log() - 0.5 * math.log(2 * math.pi)


def gaussian_kl(mean: Tensor, scale: Tensor, prior_scale: float) -> Tensor:
    """KL(N(mean, scale²) ‖ N(0, prior_scale²)) in nats, summed over entries."""
    ratio = scale / prior_scale
    return 0.5 * (ratio**2 + (mean / prior_scale) ** 2 - 1 - 2 * ratio.log()).sum()


def batch_shares(batches: int, kind: str) -> list[float]:
    """Shares pi_i of the KL by mini-batch, sum 1: 1/M, or 2^(M-i) / (2^M - 1) for ``halving``."""
    if kind == "uniform":
        return [1 / batches] * batches
    # 2^(M-i)/(2^M-1) divided through by 2^M: no overflow for many batches.
    return [2.0**-i / (1 - 2.0**-batches) for i in range(1, batches + 1)]


class Variational(nn.Module):
    """A network whose parameters are means, with a rho beside each: scale = log(1 + e^rho).

    In training each forward pass draws all weights once for the whole batch, and leaves
    ``divergence`` = log q(w) - log p(w); in evaluation the means are the weights.
    """

    def __init__(self, network: nn.Module, prior: Prior, rho: float) -> None:
        super().__init__()
        self.network = network
        self.prior = prior
        self.names = [name for name, _ in network.named_parameters()]
        self.rho = nn.ParameterList(nn.Parameter(torch.full_like(p, rho)) for p in network.parameters())
        self.divergence = torch.zeros(())

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of the network under one draw of its weights."""
        if not self.training:
            means: Tensor = self.network(inputs)
            return means
        drawn: dict[str, Tensor] = {}
        self.divergence = torch.zeros(())
        for name, mean, rho in zip(self.names, self.network.parameters(), self.rho, strict=True):
            scale = nn.functional.softplus(rho)
            drawn[name] = mean + scale * torch.randn_like(mean)
            log_q = log_normal(drawn[name], mean, scale).sum()
            self.divergence = self.divergence + log_q - self.prior.log_density(drawn[name])
        outputs: Tensor = functional_call(self.network, drawn, (inputs,))
        return outputs

    def rho_arrays(self) -> dict[str, np.ndarray]:
        """Copies of the rho by ``<name>.rho``."""
        return {f"{name}.rho": r.detach().numpy().copy() for name, r in zip(self.names, self.rho, strict=True)}


def by_backprop(task: TrainingTask, hidden: int, prior: Prior, kl_weight: float, rho: float, shares: str) -> Fitted:
    """Minimise mean cross-entropy + kl_weight · pi_i · M · KL / L over mini-batches."""
    torch.set_num_threads(task.threads)
    with seeded(task.seed):
        network = new_network(task, hidden=hidden, dropout=0.0)
        model = Variational(network, prior, rho)
        seen = Recorder(task, lambda: pool_classes(network, task))

        def loss(step: Step) -> Tensor:
            # The data term is a mean over samples: so the KL of all weights is shared by L samples.
            share = batch_shares(step.batches, shares)[step.batch] * step.batches / len(task.labels)
            return cross_entropy(step) + kl_weight * share * model.divergence

        fit(
            model,
            *tensors_of(task),
            # The prior is the decay; decaying rho would widen every weight.
            replace(settings_of(task), weight_decay=0.0),
            loss=loss,
            seen=seen,
            keep=(),
        )
    weights = arrays_of(network) | model.rho_arrays()
    network_card = described(task, "variational", hidden=hidden, dropout=0.0)
    return Fitted(weights, network_card, seen.curve, seen.forgetting, seen.dispersion)
