"""On what a network is trained: this CPU, or through Lightning Fabric another device, precision, several processes.

``Here`` is the bare loop. Fabric is an extra and takes a second to import, so it is imported only where
``device``, ``precision`` or ``devices`` ask for more than the defaults.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from al_plugin.errors import ModelError
from al_plugin.models.checkpoint import State, Stateful
from al_plugin.models.optimiser import AdamW

# Logits (B, C) and loss of the samples at these positions.
Forward = Callable[[Tensor], tuple[Tensor, Tensor]]
# Epoch and batch.
Place = tuple[int, int]


class Here:
    """This process's CPU in float32."""

    device = torch.device("cpu")
    processes = 1

    @contextmanager
    def holding(self, model: nn.Module) -> Iterator[None]:
        """The model on the device, and back on the CPU afterwards."""
        del model
        yield

    def updating(self, update: AdamW) -> tuple[Callable[[float], None], list[Stateful]]:
        """What takes a step at a learning rate after ``gradients``, and all that it changes."""
        return update, [update]

    def gradients(self, model: nn.Module, positions: Tensor, forward: Forward, place: Place) -> tuple[Tensor, float]:
        """Set the gradients of a batch; its logits on the CPU, and its loss."""
        del place
        logits, value = forward(positions)
        model.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        return logits.detach(), value.item()

    def agreed(self, *, over: bool) -> bool:
        """What the first process says."""
        return over


class OnDevice(Here):
    """One device and precision of Fabric's; weights and moments are float32 in every precision."""

    def __init__(self, fabric: Any) -> None:
        self._fabric = fabric
        self.device = fabric.device
        self._scaler = getattr(fabric.strategy.precision, "scaler", None)
        self._fresh = None if self._scaler is None else self._scaler.state_dict()
        self._scaled: Scaled | None = None
        self._entropy = 0

    @contextmanager
    def holding(self, model: nn.Module) -> Iterator[None]:
        """The model on the device, and back on the CPU afterwards; ModelError where torch has no repeatable way."""
        # Where the CPU's generator stands as a fit starts: the same for the same fit of the same training, whatever
        # this process trained before, and also where the fit goes on.
        self._entropy = int.from_bytes(sha256(torch.get_rng_state().numpy().tobytes()).digest()[:8], "little")
        try:
            model.to(self.device)
            yield
        except RuntimeError as error:
            if "deterministic implementation" not in str(error):
                raise
            raise ModelError(
                f"the network cannot be trained repeatably on {self.device.type}: {str(error).split(',')[0]}",
                change="set train.device to cpu, or take a network without that operation",
            ) from error
        finally:
            model.zero_grad(set_to_none=True)
            model.to("cpu")

    def updating(self, update: AdamW) -> tuple[Callable[[float], None], list[Stateful]]:
        """In float16 a step is left out where a gradient overflows."""
        if self._scaler is None:
            return update, [update]
        self._scaler.load_state_dict(self._fresh)
        self._scaled = Scaled(update, self._scaler)
        return self._scaled, [update, self._scaled]

    def gradients(self, model: nn.Module, positions: Tensor, forward: Forward, place: Place) -> tuple[Tensor, float]:
        """Set the gradients of a batch; its logits on the CPU, and its loss."""
        if self.device.type != "cpu":
            # The CPU's generator draws weights and order. A device's own is set anew for each batch, so
            # that a training that was killed goes on alike.
            getattr(torch, self.device.type).manual_seed(self._seed(place))
        with self._fabric.autocast():
            logits, value = forward(positions)
        model.zero_grad(set_to_none=True)
        self._fabric.backward(value)
        if self._scaled is not None:
            self._scaled.unscale()
        return logits.detach().float().cpu(), value.item()

    def _seed(self, place: Place) -> int:
        entropy = [self._entropy, *place, self._fabric.global_rank]
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Scaled:
    """AdamW behind the factor that keeps float16's gradients in range; to torch's GradScaler it is an optimiser."""

    def __init__(self, update: AdamW, scaler: Any) -> None:
        self.param_groups = [{"params": update.parameters}]
        self._update, self._scaler, self._lr = update, scaler, 0.0

    def unscale(self) -> None:
        """Divide the gradients by the factor, and note whether one is infinite."""
        self._scaler.unscale_(self)

    def __call__(self, lr: float) -> None:
        """One step with rate ``lr``, or none; then the factor's."""
        self._lr = lr
        self._scaler.step(self)
        self._scaler.update()

    def step(self) -> None:
        """What the scaler calls where all gradients are finite."""
        self._update(self._lr)

    def state(self) -> State:
        """The factor, and the steps since it changed."""
        return dict(self._scaler.state_dict())

    def resume(self, state: State) -> None:
        """Go on from there."""
        self._scaler.load_state_dict(state)


class Several(OnDevice):
    """Several processes that each take a share of every batch; all end each step with the same weights.

    A batch's gradient is the sum of the shares' mean gradients, each weighted by its part of the samples.
    """

    def __init__(self, fabric: Any) -> None:
        super().__init__(fabric)
        self.processes = fabric.world_size

    @contextmanager
    def holding(self, model: nn.Module) -> Iterator[None]:
        """The model on the device, with the first process's weights."""
        with super().holding(model):
            for tensor in model.state_dict().values():
                tensor.copy_(self._fabric.broadcast(tensor))
            yield

    def gradients(self, model: nn.Module, positions: Tensor, forward: Forward, place: Place) -> tuple[Tensor, float]:
        """Set the gradients of the whole batch; all its logits on the CPU, and its loss."""
        shares = positions.tensor_split(self.processes)
        rank = self._fabric.global_rank
        own, start = shares[rank], sum(len(share) for share in shares[:rank])
        share = len(own) / len(positions)
        # Own draws for each process: the common generator stays the same in all of them.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed(place))
            with self._fabric.autocast():
                # A process without a share computes one sample, and it counts nothing.
                logits, value = forward(own if len(own) else positions[:1])
        model.zero_grad(set_to_none=True)
        self._fabric.backward(value * share)
        rows = torch.zeros((len(positions), logits.shape[1]), device=self.device)
        rows[start : start + len(own)] = logits.detach()[: len(own)]
        (rows, loss) = self._summed(list(model.parameters()), rows, value.detach() * share)
        if self._scaled is not None:
            self._scaled.unscale()
        return rows.cpu(), loss.item()

    def _summed(self, parameters: list[nn.Parameter], rows: Tensor, loss: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over the processes of gradients, which are set, of logits and of losses: one message."""
        reached = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        parts += [rows, reached, loss]
        flat = self._all_reduced(torch.cat([part.reshape(-1) for part in parts]))
        *gradients, rows, reached, loss = (
            found.view(part.shape)
            for found, part in zip(torch.split(flat, [part.numel() for part in parts]), parts, strict=True)
        )
        for parameter, gradient, is_set in zip(parameters, gradients, reached.tolist(), strict=True):
            # A parameter that no process's loss reaches has no gradient and stays.
            parameter.grad = gradient.to(parameter.dtype) if is_set else None
        return rows, loss

    def agreed(self, *, over: bool) -> bool:
        """What the first process says."""
        first = over and self._fabric.global_rank == 0
        return bool(self._all_reduced(torch.tensor([float(first)], device=self.device)).item())

    def _all_reduced(self, values: Tensor) -> Tensor:
        try:
            summed: Tensor = self._fabric.all_reduce(values, reduce_op="sum")
        except RuntimeError as error:
            raise ModelError(
                "another process of this training has ended", change="run dvc repro again, or set train.devices to 1"
            ) from error
        return summed


def device_of(model: nn.Module) -> torch.device:
    """The device of the first parameter."""
    return next(model.parameters()).device
