"""Where a training stands, taken down between two batches and set again."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from al_plugin.models.checkpoint import Checkpoints, State, Stateful, part, under


class Running:
    """The place of a fit in its training, resumed from ``checkpoints`` where they hold some of it.

    ``epoch`` and ``batch`` come next; ``loss`` is the sum over the epoch so far. What is kept: these,
    the epoch's order, the network, torch's generator, what is ``inside`` the fit (until it ends) and
    what is ``outside``.
    """

    def __init__(
        self,
        model: nn.Module,
        inside: Sequence[Stateful],
        outside: Sequence[Stateful],
        checkpoints: Checkpoints | None,
    ) -> None:
        self.epoch, self.batch, self.loss = 0, 0, 0.0
        self.ended = self._whole = False
        self._order: Tensor | None = None
        self._model, self._inside, self._outside, self._checkpoints = model, inside, outside, checkpoints
        self._number = -1
        if checkpoints is not None:
            self._number, kept = checkpoints.next_fit()
            if kept is not None:
                self._resume(kept)

    def order_of(self, samples: int) -> Tensor:
        """The order of this epoch, drawn from torch's generator at its start."""
        if self._order is None:
            self._order = torch.randperm(samples)
        return self._order

    def after_batch(self, loss: float, *, last: bool) -> None:
        """Count a batch; an epoch's last one is kept after the epoch is closed."""
        self.loss += loss
        self.batch += 1
        if not last:
            self._keep_if_due()

    def after_epoch(self, *, over: bool) -> None:
        """Go on to the next epoch, or to none if the training is over."""
        self.epoch, self.batch, self.loss, self._order = self.epoch + 1, 0, 0.0, None
        self.ended = over
        self._keep_if_due()

    def end(self) -> None:
        """Note how the fit ended."""
        if self._checkpoints is not None and not self._whole:
            self._whole = True
            self._checkpoints.end(self._number, self._state())

    def _keep_if_due(self) -> None:
        if self._checkpoints is not None and self._checkpoints.due():
            self._checkpoints.keep(self._number, self._state())

    def _state(self) -> State:
        state: State = {"epoch": self.epoch, "batch": self.batch, "loss": self.loss, "ended": self.ended}
        state |= {"whole": self._whole, "generator": torch.get_rng_state().numpy()}
        if self._order is not None:
            state["order"] = self._order.numpy()
        network = {name: tensor.detach().cpu().numpy() for name, tensor in self._model.state_dict().items()}
        state |= under("network", network)
        for name, one in self._kept().items():
            state |= under(name, one.state())
        return state

    def _kept(self) -> dict[str, Stateful]:
        inside = {} if self._whole else {f"inside.{number}": one for number, one in enumerate(self._inside)}
        return inside | {f"outside.{number}": one for number, one in enumerate(self._outside)}

    def _resume(self, state: State) -> None:
        self.epoch, self.batch, self.loss, self._whole = (state[n] for n in ("epoch", "batch", "loss", "whole"))
        self.ended = state["ended"] or self._whole
        self._order = torch.from_numpy(state["order"]) if "order" in state else None
        self._model.load_state_dict({name: torch.from_numpy(array) for name, array in part(state, "network").items()})
        for name, one in self._kept().items():
            one.resume(part(state, name))
        torch.set_rng_state(torch.from_numpy(state["generator"]))
