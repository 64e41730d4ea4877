"""The loss of each task, sample by sample: what a network of that task minimises and is stopped early by."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

# Losses (B,) of outputs (B, C) for targets (B, ...).
Each = Callable[[Tensor, Tensor], Tensor]


def of_classes(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of class indices (B,)."""
    return functional.cross_entropy(logits, targets, reduction="none")


def of_label_sets(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean binary cross-entropy over the labels; targets (B, C) are 0 or 1."""
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)


def of_values(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error of outputs (B, 1) for standardised targets (B,)."""
    return torch.square(outputs[:, 0] - targets)


EACH: Mapping[str, Each] = {"classes": of_classes, "multilabel": of_label_sets, "regression": of_values}
