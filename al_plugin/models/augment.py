"""Changes of images that leave their class as it is, drawn anew at each presentation."""

import torch
from torch import Tensor, nn

from al_plugin.errors import ModelError


class Shift(nn.Module):
    """Each image moved by up to an eighth of its size in both directions, and mirrored at random if ``flip``.

    Rows (B, width) of standardised images: what comes in at the edges is 0, the mean. Draws from
    torch's generator.
    """

    def __init__(self, shape: tuple[int, ...], *, flip: bool) -> None:
        super().__init__()
        self.shape, self.flip = shape, flip

    def forward(self, rows: Tensor) -> Tensor:
        """The changed images, in rows."""
        _, height, width = self.shape
        images = rows.reshape(-1, *self.shape)
        reach = (max(1, height // 8), max(1, width // 8))
        padded = nn.functional.pad(images, (reach[1], reach[1], reach[0], reach[0]))
        down = torch.randint(2 * reach[0] + 1, (len(images), 1))
        right = torch.randint(2 * reach[1] + 1, (len(images), 1))
        ys, xs = down + torch.arange(height), right + torch.arange(width)
        if self.flip:
            mirrored = torch.rand(len(images), 1) < 0.5
            xs = torch.where(mirrored, xs.flip(1), xs)
        samples = torch.arange(len(images))[:, None, None, None]
        channels = torch.arange(self.shape[0])[None, :, None, None]
        moved: Tensor = padded[samples, channels, ys[:, None, :, None], xs[:, None, None, :]]
        return moved.reshape(rows.shape)


def augmentation(kind: str, shape: tuple[int, ...]) -> nn.Module:
    """The module for ``train.augment``; ModelError for samples that are no images."""
    if kind == "none":
        return nn.Identity()
    if len(shape) != 3:
        raise ModelError(
            f"train.augment {kind} is for images, the pool has samples of shape {shape}",
            change="set train.augment to none",
        )
    return Shift(shape, flip=kind == "shift_flip")
