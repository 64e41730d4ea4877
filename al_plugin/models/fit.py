"""The one training loop, with hooks for what a training method wants to change or see."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

PresentationHook = Callable[[Tensor, Tensor], None]
EpochHook = Callable[[int, float], None]


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast to fit; ``seed`` decides initial weights, order and dropout."""

    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    seed: int


@dataclass(frozen=True)
class Step:
    """One mini-batch: its place in training, ``positions`` and ``targets`` (B,), ``logits`` (B, C)."""

    epoch: int
    batch: int
    batches: int
    positions: Tensor
    targets: Tensor
    logits: Tensor


Loss = Callable[[Step], Tensor]
Rate = Callable[[int], float]


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
    """Mean cross-entropy of a batch, nats."""
    return nn.functional.cross_entropy(step.logits, step.targets)


def fit(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    settings: FitSettings,
    *,
    loss: Loss = cross_entropy,
    rate: Rate | None = None,
    on_presentation: PresentationHook | None = None,
    on_epoch: EpochHook | None = None,
) -> None:
    """Minimise ``loss`` with AdamW; call inside ``seeded``.

    ``inputs`` (L, width), ``targets`` (L,). ``rate(epoch)`` is the learning rate of an epoch, by
    default ``settings.lr``. After each batch ``on_presentation(positions, logits)`` gets what the
    training forward pass saw; after each epoch ``on_epoch(epoch, mean loss)``.
    """
    update = adamw_update(list(model.parameters()), settings.weight_decay)
    for epoch in range(settings.epochs):
        model.train()
        total, lr = 0.0, settings.lr if rate is None else rate(epoch)
        parts = torch.split(torch.randperm(len(inputs)), settings.batch_size)
        for batch, positions in enumerate(parts):
            logits = model(inputs[positions])
            value = loss(Step(epoch, batch, len(parts), positions, targets[positions], logits))
            model.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            update(lr)
            total += value.item() * len(positions)
            if on_presentation is not None:
                on_presentation(positions, logits.detach())
        if on_epoch is not None:
            on_epoch(epoch, total / len(inputs))


def adamw_update(parameters: list[nn.Parameter], weight_decay: float) -> Callable[[float], None]:
    """One AdamW step over the parameters' gradients (Loshchilov & Hutter 2019), betas .9 and .999.

    torch's functional form: the class `torch.optim.AdamW` imports the compiler for a second.
    """
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    steps = [torch.zeros(()) for _ in parameters]

    def update(lr: float) -> None:
        # A parameter that a loss does not reach (a detached module) has no gradient and stays.
        reached = [i for i, p in enumerate(parameters) if p.grad is not None]
        with torch.no_grad():
            adamw(
                [parameters[i] for i in reached],
                [gradient for i in reached if (gradient := parameters[i].grad) is not None],
                [first[i] for i in reached],
                [second[i] for i in reached],
                [],
                [steps[i] for i in reached],
                foreach=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=lr,
                weight_decay=weight_decay,
                eps=1e-8,
                maximize=False,
            )

    return update
