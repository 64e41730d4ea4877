"""The networks: a trunk that makes an embedding of a sample, and a linear head on it."""

import math

import torch
from torch import Tensor, nn

from al_plugin.errors import ModelError
from al_plugin.models.augment import augmentation
from al_plugin.models.task import Body
from al_plugin.named import imported

NAMES = ("mlp", "linear", "cnn")


class Network(nn.Module):
    """Standardise, embed, drop, decide: logits (B, C) from rows (B, width) of numbers, float32 or uint8.

    The standardisation (mean, scale) is a buffer, so the weights file is complete in itself.
    ``features`` gives the input of the last linear layer, (B, D). ``augment`` changes standardised
    rows in training only.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, trunk: nn.Module, head: nn.Linear, *, dropout: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.trunk = trunk
        self.drop = nn.Dropout(dropout)
        self.head = head
        self.augment: nn.Module = nn.Identity()

    def standardise(self, mean: Tensor, scale: Tensor) -> None:
        """Set the buffers; a constant feature keeps scale 1."""
        self.mean = mean
        self.scale = torch.where(scale > 0, scale, torch.ones_like(scale))

    def standardised(self, inputs: Tensor) -> Tensor:
        """Rows in units of the pool's deviation from its mean, (B, width)."""
        return (inputs - self.mean) / self.scale

    def embed(self, standardised: Tensor) -> Tensor:
        """Penultimate activations of standardised rows, (B, D)."""
        embedded: Tensor = self.drop(self.trunk(standardised))
        return embedded

    def features(self, inputs: Tensor) -> Tensor:
        """Penultimate activations, (B, D)."""
        rows = self.standardised(inputs)
        return self.embed(self.augment(rows) if self.training else rows)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, (B, C)."""
        logits: Tensor = self.head(self.features(inputs))
        return logits


class ChannelsLast(nn.Module):
    """Rows (B, width) as images (B, channels, height, width) in the memory order that convolutions are fast in."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, rows: Tensor) -> Tensor:
        """The same numbers as images."""
        return rows.reshape(-1, *self.shape).contiguous(memory_format=torch.channels_last)


def build(body: Body, width: int, classes: int, *, hidden: int, dropout: float) -> Network:
    """A network with fresh weights from torch's generator; ModelError where the body does not fit the data."""
    shape = body.shape or (width,)
    if body.name == "mlp":
        network = perceptron(width, classes, hidden=hidden, dropout=dropout)
    elif body.name == "linear":
        network = Network(width, nn.Identity(), nn.Linear(width, classes), dropout=dropout)
    elif body.name == "cnn":
        network = convolutional(shape, classes, hidden=hidden, dropout=dropout)
    else:
        network = own(body.name, shape, classes, dropout=dropout)
    network.augment = augmentation(body.augment, shape)
    return network


def perceptron(width: int, classes: int, *, hidden: int, dropout: float) -> Network:
    """One hidden layer."""
    trunk = nn.Sequential(nn.Linear(width, hidden), nn.ReLU())
    return Network(width, trunk, nn.Linear(hidden, classes), dropout=dropout)


def convolutional(shape: tuple[int, ...], classes: int, *, hidden: int, dropout: float) -> Network:
    """Two convolutions 3x3 (32 and 64 channels) with max-pooling, one hidden layer."""
    if len(shape) != 3 or min(shape[1:]) < 4:
        raise ModelError(
            f"train.network cnn takes images of at least 4x4 pixels, the pool has samples of shape {shape}",
            change="set train.network to auto, mlp or linear",
        )
    channels, height, width = shape
    # ReLU after pooling: the same values and gradients on a quarter of the numbers.
    trunk = nn.Sequential(
        ChannelsLast(shape),
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * (height // 4) * (width // 4), hidden),
        nn.ReLU(),
    ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # weights too, else each pass reorders them
    return Network(math.prod(shape), trunk, nn.Linear(hidden, classes), dropout=dropout)


class OwnTrunk(nn.Module):
    """A module of the user's whose head was taken out: rows (B, width) to embeddings (B, D)."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.module = module
        self.shape = shape

    def forward(self, rows: Tensor) -> Tensor:
        """The module up to the input of its last linear layer."""
        embedded: Tensor = self.module(rows.reshape(-1, *self.shape))
        return embedded


def own(name: str, shape: tuple[int, ...], classes: int, *, dropout: float) -> Network:
    """The network that ``name`` (module:factory) makes when called with the shape of a sample and C.

    It takes standardised rows of that shape and returns logits (B, C), the output of its last
    ``nn.Linear``; ``dropout`` is applied to that layer's input. ModelError otherwise.
    """
    module = imported(name, "train.network")(shape, classes)
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"train.network {name} made a {type(module).__name__}, not a torch.nn.Module",
            change="name a class or function that returns a module when called with (shape, classes)",
        )
    rows = torch.randn((2, *shape), generator=torch.Generator().manual_seed(0))
    expected = _outputs(module, rows, name)
    if expected.shape != (2, classes):
        raise ModelError(
            f"train.network {name} gives outputs of shape {tuple(expected.shape)} for 2 samples, not (2, {classes})",
            change=f"make its last layer as wide as campaign.classes is long: {classes}",
        )
    for path, layer in reversed(list(module.named_modules())):
        if isinstance(layer, nn.Linear) and layer.out_features == classes:
            trunk = OwnTrunk(_without(module, path), shape)
            network = Network(math.prod(shape), trunk, layer, dropout=dropout)
            embedded = _outputs(trunk, rows, name)
            if embedded.shape[1:] == (layer.in_features,) and torch.allclose(layer(embedded), expected, atol=1e-5):
                return network.train()
            break
    raise ModelError(
        f"train.network {name} has no linear head: its logits are not the output of its last nn.Linear",
        change=f"end it with nn.Linear(..., {classes}) and return that layer's output",
    )


def _outputs(module: nn.Module, rows: Tensor, name: str) -> Tensor:
    module.eval()
    try:
        with torch.no_grad():
            outputs: Tensor = module(rows)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"train.network {name} cannot take samples of shape {tuple(rows.shape[1:])} ({reason})",
            change="make it fit that shape, which it is called with",
        ) from error
    return outputs


def _without(module: nn.Module, path: str) -> nn.Module:
    """The module with the layer at ``path`` replaced by the identity."""
    if not path:
        return nn.Identity()
    parent, _, last = path.rpartition(".")
    setattr(module.get_submodule(parent), last, nn.Identity())
    return module
