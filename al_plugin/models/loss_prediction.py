"""A network with a module beside it that predicts the network's own loss."""

import numpy as np
import torch
from torch import Tensor, nn

from al_plugin.models.body import Network
from al_plugin.models.fit import Step, cross_entropy, fit, seeded
from al_plugin.models.forward import forward
from al_plugin.models.network import arrays_of, described, new_network, own_seed, pool_classes, settings_of, tensors_of
from al_plugin.models.recorder import Recorder
from al_plugin.models.task import BATCH, Fitted, TrainingTask


def pair_loss(predicted: Tensor, true: Tensor, margin: float) -> Tensor:
    """Mean over pairs (i, B-1-i) of max(0, margin - sign(l_i - l_j)(p_i - p_j)); 0 without a pair.

    ``predicted``, ``true`` (B,); the odd last sample is left out. A tie of true losses gives no
    order, so the pair adds nothing. Source: Yoo & Kweon (2019).
    """
    half = len(true) // 2
    if half == 0:
        return predicted.sum() * 0
    even = 2 * half
    order = torch.sign((true[:even] - true[:even].flip(0))[:half]).detach()
    ahead = (predicted[:even] - predicted[:even].flip(0))[:half]
    # sign 0 would cost the margin whatever is predicted.
    return (order.abs() * torch.relu(margin - order * ahead)).mean()


class WithLossModule(nn.Module):
    """A network and a loss module on its embedding before dropout; logits are the network's alone."""

    def __init__(self, network: Network, module: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.module = module
        self.hidden = torch.empty(0)
        network.trunk.register_forward_hook(self._keep)

    def _keep(self, _layer: nn.Module, _inputs: object, output: Tensor) -> None:
        self.hidden = output

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, C); ``hidden`` is left for the loss module."""
        logits: Tensor = self.network(inputs)
        return logits

    def predicted(self, *, detach: bool) -> Tensor:
        """Predicted loss (B,) of the last batch; ``detach`` keeps the gradient out of the trunk."""
        losses: Tensor = self.module(self.hidden.detach() if detach else self.hidden)
        return losses[:, 0]


def loss_predicting(
    task: TrainingTask, hidden: int, dropout: float, weight: float, margin: float, detach_share: float
) -> Fitted:
    """Train both together; the module's last act is to predict the loss of the whole pool."""
    torch.set_num_threads(task.threads)
    with seeded(task.seed):
        network = new_network(task, hidden=hidden, dropout=dropout)
        # Its own seed: the network's draws stay those of a training without a module.
        with seeded(own_seed(task, 1)):
            module = nn.Sequential(nn.Linear(network.head.in_features, 128), nn.ReLU(), nn.Linear(128, 1))
        both = WithLossModule(network, module)
        seen = Recorder(task, lambda: pool_classes(network, task))

        def loss(step: Step) -> Tensor:
            true = nn.functional.cross_entropy(step.logits, step.targets, reduction="none").detach()
            predicted = both.predicted(detach=step.epoch >= detach_share * task.epochs)
            return cross_entropy(step) + weight * pair_loss(predicted, true, margin)

        fit(
            both,
            *tensors_of(task),
            settings_of(task),
            loss=loss,
            seen=seen,
            keep=(),
        )
    with torch.inference_mode():
        embeddings = torch.from_numpy(forward(network, task.pool_features)[1])
        losses = torch.cat([module(part)[:, 0] for part in torch.split(embeddings, BATCH)]).numpy()
    described_as = described(task, "mlp", hidden=hidden, dropout=dropout)
    signals = {"predicted_loss": losses.astype(np.float64)}
    return Fitted(arrays_of(network), described_as, seen.curve, seen.forgetting, seen.dispersion, signals)
