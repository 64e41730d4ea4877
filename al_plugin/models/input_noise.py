"""What a network says of inputs with features left out, and how its first layer would learn from them."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from al_plugin.axes import Floats, FloatsNC, IntsTN
from al_plugin.models.body import Network
from al_plugin.models.task import BATCH


def dropped_labels(model: Network, inputs: Floats, passes: int, rng_seed: int, *, rate: float = 0.75) -> IntsTN:
    """Class predicted in each pass while every standardised feature is left out with probability ``rate``.

    Shape (T, N), int64; ties to the lower class. Kept features are scaled by 1 / (1 - rate), 0 <= rate < 1,
    each sample has its own mask, the rest of the network is in evaluation mode. Pass t draws from its own
    generator, row after row: results do not depend on the number of passes, nor those of the first rows
    on how many follow. A higher rate keeps a subset of what a lower one keeps.
    Source: Gupte et al. (2024); Srivastava et al. (2014).
    """
    found = np.empty((passes, len(inputs)), dtype=np.int64)
    generators = [np.random.default_rng([rng_seed, t]) for t in range(passes)]
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for rows, batch in _batches(inputs):
            words = model.standardised(batch)
            for t, rng in enumerate(generators):
                kept = rng.random(batch.shape, dtype=np.float32) >= rate
                hidden = model.trunk(words * torch.from_numpy(kept) / (1.0 - rate))
                found[t, rows] = model.head(hidden).argmax(dim=1).numpy()
    model.train(was_training)
    return found


def word_gradients(model: Network, inputs: Floats) -> FloatsNC:
    """Longest gradient of any feature's weights in the first layer, were the label c: (N, C), float32.

    The cross-entropy's gradient by column j of the first layer is x_j δ(c), x standardised, so
    g_c = max_j |x_j| · ‖r ∘ Vᵀ(p - e_c)‖ with V the head's weight and r = 1 where a hidden unit is active.
    In float64 inside; for a bag of words j is a word. Source: Zhang, Lease, Wallace (2017), EGL-word.
    """
    found = np.empty((len(inputs), model.head.out_features), dtype=np.float32)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        weight = model.head.weight.double()
        for rows, batch in _batches(inputs):
            words = model.standardised(batch)
            hidden = model.trunk(words)
            probs = model.head(hidden).double().softmax(dim=1)
            longest, active, mean = words.double().abs().amax(dim=1), hidden > 0, probs @ weight
            for label, row in enumerate(weight):
                found[rows, label] = (longest * ((mean - row) * active).norm(dim=1)).numpy()
    model.train(was_training)
    return found


def _batches(inputs: Floats) -> Iterator[tuple[slice, Tensor]]:
    """Rows of the fixed grid of ``forward``, with their inputs."""
    for start in range(0, len(inputs), BATCH):
        rows = slice(start, start + BATCH)
        yield rows, torch.from_numpy(np.ascontiguousarray(inputs[rows]))
