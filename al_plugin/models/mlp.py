"""A multilayer perceptron with one hidden layer."""

import torch
from torch import Tensor, nn


class Mlp(nn.Module):
    """Standardise, hide, drop, decide: logits (B, C) from features (B, D).

    The standardisation (mean, scale) is a buffer, so the weights file is complete in itself.
    ``features`` gives the input of the last linear layer, (B, hidden).
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, classes: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.trunk = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout))
        self.head = nn.Linear(hidden, classes)

    def standardise(self, mean: Tensor, scale: Tensor) -> None:
        """Set the buffers; a constant feature keeps scale 1."""
        self.mean = mean
        self.scale = torch.where(scale > 0, scale, torch.ones_like(scale))

    def features(self, inputs: Tensor) -> Tensor:
        """Penultimate activations, shape (B, hidden)."""
        hidden: Tensor = self.trunk((inputs - self.mean) / self.scale)
        return hidden

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, shape (B, C)."""
        logits: Tensor = self.head(self.features(inputs))
        return logits
