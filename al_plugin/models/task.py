"""What a training method gets and what it gives back: plain data, no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from al_plugin.axes import Floats, Ints
from al_plugin.math.dynamics import DispersionStream, ForgettingStream
from al_plugin.models.checkpoint import Checkpoints

# Rows per forward pass. Matrix products change in the last bit with it, so the grid never varies.
BATCH = 256


# What ``restore`` rebuilds a network from, as JSON.
Description = dict[str, int | float | str | list[int]]


@dataclass(frozen=True)
class Body:
    """Which network: ``name`` is mlp, linear, cnn or module:factory.

    ``shape`` of one sample, () for (width,); ``groups``: features standardised together, channel by
    channel of the shape, 0 for every feature by itself; ``augment``: see models.augment.
    """

    name: str = "mlp"
    shape: tuple[int, ...] = ()
    groups: int = 0
    augment: str = "none"


# Epochs done, epochs in all, loss of the last batch.
Progress = Callable[[float, int, float], None]


@dataclass(frozen=True)
class Options:
    """What every training method takes through ``fit``; see docs/training.md.

    ``class_weights`` none or balanced; ``schedule`` constant, cosine or linear, after ``warmup``, a
    share of the training; ``clip_norm`` of the gradient, 0: off; ``patience`` epochs without a lower
    held-out NLL, 0: off. ``device`` cpu, cuda, mps or auto, ``precision`` 32, bf16 or 16, and the number
    of ``devices``: see models.device.
    """

    class_weights: str = "none"
    schedule: str = "constant"
    warmup: float = 0.0
    clip_norm: float = 0.0
    patience: int = 0
    device: str = "cpu"
    precision: str = "32"
    devices: int = 1


@dataclass(frozen=True)
class Start:
    """The model of an earlier ``round`` to start from: ``network`` as in its card, ``weights`` by name.

    A network begins at ``shrink`` times its weights plus ``perturb`` times those of a fresh one.
    """

    round: int
    network: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    shrink: float
    perturb: float


# Part of the result is everything but where the training is kept and who looks on.
_ASIDE = {"result": False}


@dataclass(frozen=True)
class TrainingTask:
    """One training.

    ``features`` (L, width; float32 or uint8) and ``labels`` are the labelled samples: class indices (L,), under
    ``kind`` multilabel 0 or 1 (L, C), under regression numbers (L,), with ``n_classes`` outputs. ``pool_features``
    (N, width) the whole pool (for standardising, and for its label dispersion every
    ``dynamics_every`` epochs, 0: never). ``round`` counts the rounds of the campaign from 0.
    ``held_features`` (H, width) and ``held_labels`` are labelled samples to look at and not to
    train on. Methods marked ``warm`` start from ``start`` where it is given.
    """

    features: Floats
    labels: np.ndarray
    pool_features: Floats
    n_classes: int
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    dynamics_every: int
    threads: int
    seed: int
    round: int = 0
    body: Body = field(default_factory=Body)
    options: Options = field(default_factory=Options)
    held_features: Floats | None = None
    held_labels: np.ndarray | None = None
    kind: str = "classes"
    start: Start | None = None
    checkpoints: Checkpoints | None = field(default=None, metadata=_ASIDE)
    progress: Progress | None = field(default=None, metadata=_ASIDE)


@dataclass(frozen=True)
class Fitted:
    """The result of a training.

    ``weights`` maps tensor names to arrays, ``network`` is what rebuilds the module from them;
    ``curve`` has columns by epoch; ``forgetting`` and ``dispersion`` are the training dynamics of
    the labelled samples and of the pool; ``pool_signals`` are signals (N,) that only training can give;
    ``pseudo_positions`` are the pool rows trained on under the network's own labels, ``metrics`` further
    numbers for the round's metrics, None where there is none.
    """

    weights: Mapping[str, np.ndarray]
    network: Mapping[str, int | float | str | list[int]]
    curve: Mapping[str, list[float]]
    forgetting: ForgettingStream
    dispersion: DispersionStream
    pool_signals: Mapping[str, Floats] = field(default_factory=dict)
    pseudo_positions: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    metrics: Mapping[str, float | None] = field(default_factory=dict)
