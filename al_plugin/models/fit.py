"""The one training loop, with hooks for what a training method wants to see."""

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


def fit(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    settings: FitSettings,
    *,
    on_presentation: PresentationHook,
    on_epoch: EpochHook,
) -> None:
    """Minimise cross-entropy with AdamW; call inside ``seeded``.

    ``inputs`` (L, width), ``targets`` (L,). After each batch ``on_presentation(positions, logits)``
    gets what the training forward pass saw; after each epoch ``on_epoch(epoch, mean loss)``.
    """
    step = _adamw(list(model.parameters()), settings)
    for epoch in range(settings.epochs):
        model.train()
        total = 0.0
        for positions in torch.split(torch.randperm(len(inputs)), settings.batch_size):
            logits = model(inputs[positions])
            loss = nn.functional.cross_entropy(logits, targets[positions])
            model.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            step()
            total += loss.item() * len(positions)
            on_presentation(positions, logits.detach())
        on_epoch(epoch, total / len(inputs))


def _adamw(parameters: list[nn.Parameter], settings: FitSettings) -> Callable[[], None]:
    """One AdamW step over the parameters' gradients (Loshchilov & Hutter 2019), betas .9 and .999.

    torch's functional form: the class `torch.optim.AdamW` imports the compiler for a second.
    """
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    steps = [torch.zeros(()) for _ in parameters]

    def step() -> None:
        with torch.no_grad():
            adamw(
                list(parameters),
                [p.grad for p in parameters if p.grad is not None],
                first,
                second,
                [],
                steps,
                foreach=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=settings.lr,
                weight_decay=settings.weight_decay,
                eps=1e-8,
                maximize=False,
            )

    return step
