"""Early stopping: the negative log-likelihood of held-out samples, and the weights that had the lowest."""

from math import inf

import numpy as np
import torch
from torch import Tensor, nn

from al_plugin.models.checkpoint import State, part, under
from al_plugin.models.device import device_of
from al_plugin.models.losses import Each, of_classes
from al_plugin.models.task import BATCH


class HeldOut:
    """Watches a network on ``features`` (H, width) and ``labels`` (H,) after each epoch.

    ``patience`` epochs without a lower NLL end the training, which then goes back to the best
    weights; 0 never ends it. The NLL is not weighted by class.
    """

    def __init__(
        self, model: nn.Module, features: Tensor, labels: Tensor, patience: int, each: Each = of_classes
    ) -> None:
        self._model, self._features, self._labels, self._patience = model, features, labels, patience
        self._each = each
        self._lowest, self._waited = inf, 0
        self._best: dict[str, Tensor] = {}

    def measure(self) -> float:
        """NLL after an epoch, nats; remembers the weights where it is the lowest so far."""
        found = held_out_nll(self._model, self._features, self._labels, self._each)
        self._waited += 1
        if found < self._lowest:
            self._lowest, self._waited = found, 0
            if self._patience:
                self._best = {name: tensor.clone() for name, tensor in self._model.state_dict().items()}
        return found

    @property
    def over(self) -> bool:
        """Whether patience has run out."""
        return 0 < self._patience <= self._waited

    def restore(self) -> None:
        """Put the best weights back, if any were kept."""
        if self._best:
            self._model.load_state_dict(self._best)

    def state(self) -> State:
        """The lowest NLL, the epochs since, and the weights that had it."""
        kept = {name: tensor.cpu().numpy() for name, tensor in self._best.items()}
        return {"lowest": self._lowest, "waited": self._waited, **under("best", kept)}

    def resume(self, state: State) -> None:
        """Go on from there."""
        self._lowest, self._waited = state["lowest"], state["waited"]
        self._best = {name: torch.from_numpy(array) for name, array in part(state, "best").items()}


def held_out_nll(model: nn.Module, features: Tensor, labels: Tensor, each: Each = of_classes) -> float:
    """Mean negative log-likelihood (nats) without dropout, of numbers the squared error.

    The model's mode and the generators stay.
    """
    was_training = model.training
    model.eval()
    device = device_of(model)
    with torch.inference_mode():
        losses = [
            each(model(rows.to(device)).cpu(), classes)
            for rows, classes in zip(torch.split(features, BATCH), torch.split(labels, BATCH), strict=True)
        ]
    model.train(was_training)
    return float(np.concatenate([part.numpy() for part in losses]).astype(np.float64).mean())
