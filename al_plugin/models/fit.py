"""The one training loop, with hooks for what a training method wants to see."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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
    """Run with torch's CPU generator at ``seed``, and put the old state back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


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
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, foreach=True)
    for epoch in range(settings.epochs):
        model.train()
        total = 0.0
        for positions in torch.split(torch.randperm(len(inputs)), settings.batch_size):
            logits = model(inputs[positions])
            loss = nn.functional.cross_entropy(logits, targets[positions])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.item() * len(positions)
            on_presentation(positions, logits.detach())
        on_epoch(epoch, total / len(inputs))
