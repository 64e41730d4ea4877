"""The one training loop, with hooks for what a training method wants to change or see."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from al_plugin.errors import ModelError, StrategyError
from al_plugin.models import losses
from al_plugin.models.checkpoint import Checkpoints, Stateful
from al_plugin.models.device import Here
from al_plugin.models.fabric import machine
from al_plugin.models.held_out import HeldOut
from al_plugin.models.optimiser import AdamW, rate_share
from al_plugin.models.recorder import Recorder
from al_plugin.models.running import Running
from al_plugin.models.task import Options, Progress

PresentationHook = Callable[[Tensor, Tensor], None]
EpochHook = Callable[[int, float], None]


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast to fit; ``seed`` decides initial weights, order and dropout.

    ``class_weights`` (C,) weigh the samples of a batch, ``held_out`` are features and targets that
    are only looked at. ``kind`` is the task's, and decides the loss. ``checkpoints`` and ``progress`` leave the
    result as it is.
    """

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    seed: int
    options: Options = field(default_factory=Options)
    class_weights: Tensor | None = None
    held_out: tuple[Tensor, Tensor] | None = None
    kind: str = "classes"
    checkpoints: Checkpoints | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class Step:
    """One mini-batch: its place in training, ``positions`` and ``targets`` (B,), ``logits`` (B, C).

    Positions are on the CPU, everything else is on the device of the network.
    """

    epoch: int
    batch: int
    batches: int
    positions: Tensor
    targets: Tensor
    logits: Tensor
    class_weights: Tensor | None = None


Loss = Callable[[Step], Tensor]
Outcome = tuple[Tensor, Tensor]
Rate = Callable[[int], float]
T = TypeVar("T")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run with torch's CPU generator at ``seed`` and deterministic algorithms, then put both back."""
    before = torch.get_deterministic_debug_mode()
    # The same switch as use_deterministic_algorithms, which imports the compiler for a second.
    torch.set_deterministic_debug_mode("error")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_deterministic_debug_mode(before)


def cross_entropy(step: Step) -> Tensor:
    """Mean cross-entropy of a batch, nats; Σ w_y CE / B under class weights.

    Divided by B and not by the batch's own weights, so that the mean over batches is the balanced
    loss of the whole set however the classes fall into them.
    """
    if step.class_weights is None:
        return nn.functional.cross_entropy(step.logits, step.targets)
    summed = nn.functional.cross_entropy(step.logits, step.targets, step.class_weights, reduction="sum")
    return summed / len(step.targets)


def binary_cross_entropy(step: Step) -> Tensor:
    """Mean over samples and labels, nats."""
    return losses.of_label_sets(step.logits, step.targets).mean()


def squared_error(step: Step) -> Tensor:
    """Mean over samples, of standardised targets."""
    return losses.of_values(step.logits, step.targets).mean()


# The plain loss of each task: a mean over samples, so that a batch can be cut into shares.
PLAIN: Mapping[str, Loss] = {
    "classes": cross_entropy,
    "multilabel": binary_cross_entropy,
    "regression": squared_error,
}


def fit(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    settings: FitSettings,
    *,
    loss: Loss | None = None,
    rate: Rate | None = None,
    seen: Recorder | None = None,
    on_presentation: PresentationHook | None = None,
    on_epoch: EpochHook | None = None,
    keep: Sequence[Stateful] | None = None,
) -> None:
    """Minimise ``loss``, by default the plain one of the task, with AdamW; call inside ``seeded``.

    ``inputs`` (L, width), ``targets`` (L, ...). ``rate(epoch)`` is the learning rate of an epoch, by
    default that of the settings. ``seen`` records the dynamics. After each batch
    ``on_presentation(positions, logits)`` gets what the training forward pass saw; after each epoch
    ``on_epoch(epoch, mean loss)``.

    ``keep`` names everything else that the hooks and the loss change; with an own hook or loss and
    no ``keep`` (empty, if there is nothing) a killed training starts anew.
    """
    loss = loss or PLAIN[settings.kind]
    if settings.options.devices > 1:
        _refuse_shares(model, loss, settings.options.devices)
    on = machine(settings.options)
    with on.holding(model):
        _fit(model, inputs, targets, settings, on, loss, rate, seen, on_presentation, on_epoch, keep)


def _fit(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    settings: FitSettings,
    on: Here,
    loss: Loss,
    rate: Rate | None,
    seen: Recorder | None,
    on_presentation: PresentationHook | None,
    on_epoch: EpochHook | None,
    keep: Sequence[Stateful] | None,
) -> None:
    patience, each = settings.options.patience, losses.EACH[settings.kind]
    held = None if settings.held_out is None else HeldOut(model, *settings.held_out, patience, each)
    update, updated = on.updating(AdamW(list(model.parameters()), settings.weight_decay))
    lr_at = _rates(settings, rate)
    weights = None if settings.class_weights is None else settings.class_weights.to(on.device)
    presented = _present(None if seen is None else seen.on_presentation, on_presentation)
    own = on_presentation is not None or on_epoch is not None or loss not in PLAIN.values()
    run = Running(
        model,
        inside=[*updated, *_present(held)],
        outside=[*_present(seen), *(keep or ())],
        checkpoints=None if own and keep is None else settings.checkpoints,
    )
    of_two = normalises_over_batches(model)
    while not run.ended and run.epoch < settings.epochs:
        model.train()
        parts = batches(run.order_of(len(inputs)), settings.batch_size, of_two=of_two)
        for batch in range(run.batch, len(parts)):
            positions = parts[batch]

            def forward(at: Tensor, place: tuple[int, int, int] = (run.epoch, batch, len(parts))) -> Outcome:
                logits = model(inputs[at].to(on.device))
                return logits, loss(Step(*place, at, targets[at].to(on.device), logits, weights))

            logits, value = on.gradients(model, positions, forward, (run.epoch, batch))
            if settings.options.clip_norm:
                nn.utils.clip_grad_norm_(model.parameters(), settings.options.clip_norm)
            update(lr_at(run.epoch, batch, len(parts)))
            for present in presented:
                present(positions, logits)
            run.after_batch(value * len(positions), last=batch + 1 == len(parts))
            if settings.progress is not None:
                settings.progress(run.epoch + (batch + 1) / len(parts), settings.epochs, value)
        _close_epoch(run, run.loss / len(inputs), held, seen, on_epoch, on)
    if held is not None:
        held.restore()
    run.end()


def batches(order: Tensor, size: int, *, of_two: bool) -> list[Tensor]:
    """The order in runs of ``size``, the last one shorter; ``of_two``: a last one of 1 joins the one before."""
    parts = list(torch.split(order, size))
    if of_two and len(parts[-1]) == 1:
        if len(order) == 1 or size == 1:
            raise ModelError(
                f"the network has batch normalisation, which one sample cannot go through alone: {len(order)} "
                f"labelled, train.batch_size {size}",
                change="label more samples, raise train.batch_size, or take a network without it",
            )
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def normalises_over_batches(model: nn.Module) -> bool:
    """Whether a layer of the network takes its statistics from the batch."""
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules())  # noqa: SLF001


def _present(*values: T | None) -> list[T]:
    return [value for value in values if value is not None]


def _close_epoch(
    run: Running, mean: float, held: HeldOut | None, seen: Recorder | None, on_epoch: EpochHook | None, on: Here
) -> None:
    nll = None if held is None else held.measure()
    if seen is not None:
        seen.on_epoch(mean, nll)
    if on_epoch is not None:
        on_epoch(run.epoch, mean)
    run.after_epoch(over=on.agreed(over=held.over) if held is not None else False)


def _rates(settings: FitSettings, rate: Rate | None) -> Callable[[int, int, int], float]:
    """The learning rate at (epoch, batch, batches); StrategyError where a method with its own is asked for another."""
    options = settings.options
    if rate is not None:
        _refuse_own_rate(options)
        return lambda epoch, _batch, _batches: rate(epoch)
    return lambda epoch, batch, batches: (
        settings.lr * rate_share(epoch * batches + batch, settings.epochs * batches, options)
    )


def _refuse_shares(model: nn.Module, loss: Loss, devices: int) -> None:
    """ModelError where a batch is more than its samples: it cannot be cut into shares."""
    if loss not in PLAIN.values():
        raise StrategyError(
            f"this training method has a loss of its own, of whole batches, and train.devices is {devices}",
            change="set train.devices to 1, or take another training method",
        )
    if normalises_over_batches(model):
        raise ModelError(
            f"the network has batch normalisation, which is of whole batches, and train.devices is {devices}",
            change="set train.devices to 1, or take a network without it",
        )


def _refuse_own_rate(options: Options) -> None:
    asked = {"schedule": options.schedule != "constant", "warmup": options.warmup > 0, "patience": options.patience > 0}
    names = [f"train.{name}" for name, is_set in asked.items() if is_set]
    if names:
        raise StrategyError(
            f"this training method sets its learning rate itself and takes no {', '.join(names)}",
            change="leave them out of params.yaml, or take another training method",
        )
