"""Twenty posterior samples of 4,096 images: twenty forward passes as a user writes them, and our way."""

import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from al_plugin.models import forward as forward_module
from al_plugin.models import posterior as posterior_module
from al_plugin.models.body import Network, build
from al_plugin.models.forward import forward
from al_plugin.models.network import arrays_of
from al_plugin.models.posterior import dropout_heads, mc_log_probs

from .images import Array, Images
from .stats import Row

# Gives log-probabilities (T, N, C).
Run = Callable[[], Array]
PASSES, HIDDEN, RATE, REPEATS = 20, 128, 0.2, 2


class MaskedDropout(nn.Module):
    """Dropout under a mask that is the same for all samples of a pass."""

    def __init__(self) -> None:
        super().__init__()
        self.mask = torch.ones(())

    def forward(self, hidden: Tensor) -> Tensor:
        """Kept units, scaled."""
        return hidden * self.mask


def plain_network(network: Network, shape: tuple[int, ...], drop: nn.Module) -> nn.Module:
    """The same function with the same weights as a user would write it: images as they come, ReLU after convolution."""
    if len(shape) != 3:
        return nn.Sequential(*network.trunk, drop, network.head)
    trunk = network.trunk
    first, second, last = trunk[1], trunk[4], trunk[8]
    layers = (first, nn.ReLU(), nn.MaxPool2d(2), second, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), last, nn.ReLU())
    return nn.Sequential(*layers, drop, network.head)


def dropout_speed(data: Images, *, samples: int, naive_batches: tuple[int, ...], batches: tuple[int, ...]) -> list[Row]:
    """CPU seconds (best of ``REPEATS``), ratio to ours as shipped, largest difference of log-probabilities, memory."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows_in = data.train[:samples]
    network = build(data.body, rows_in.shape[1], 10, hidden=HIDDEN, dropout=RATE)
    network.standardise(torch.full((rows_in.shape[1],), 33.0), torch.full((rows_in.shape[1],), 79.0))
    weights = arrays_of(network)
    card = {"network": {"dropout": RATE}}
    heads = dropout_heads(card, weights, PASSES, np.random.default_rng(0))
    masks = masks_of(PASSES)

    def ours() -> Array:
        return mc_log_probs(forward(network, rows_in)[1], heads)

    rows: list[Row] = []
    expected = ours()
    shipped = forward_module.BATCH
    for batch in (shipped, *(size for size in batches if size != shipped)):
        forward_module.BATCH = posterior_module.BATCH = batch
        try:
            rows.append(measured(f"ours{', as shipped' if batch == shipped else ''}", batch, ours, expected))
        finally:
            forward_module.BATCH = posterior_module.BATCH = shipped
    # A copy of the weights in the usual memory order: the naive way pays for what it does, not for ours.
    copy = build(data.body, rows_in.shape[1], 10, hidden=HIDDEN, dropout=RATE)
    copy.load_state_dict(network.state_dict())
    copy.to(memory_format=torch.contiguous_format)
    images = network.standardised(torch.from_numpy(rows_in)).reshape(-1, *(data.body.shape or rows_in.shape[1:]))
    for batch in naive_batches:
        passes = naive(copy, data.body.shape, images, masks, batch)
        rows.append(measured("20 forward passes", batch, passes, expected))
    base = rows[0]["CPU s"]
    assert isinstance(base, float)
    for row in rows:
        seconds = row["CPU s"]
        assert isinstance(seconds, float)
        row["times ours"] = seconds / base
    return rows


def naive(network: Network, shape: tuple[int, ...], images: Tensor, masks: list[Tensor], batch: int) -> Run:
    """A whole forward pass of all images for each mask."""
    drop = MaskedDropout()
    model = plain_network(network, shape, drop).eval()

    def run() -> Array:
        passes = []
        with torch.no_grad():
            for mask in masks:
                drop.mask = mask
                passes.append(torch.cat([torch.log_softmax(model(part), dim=1) for part in torch.split(images, batch)]))
        return torch.stack(passes).numpy()

    return run


def masks_of(passes: int) -> list[Tensor]:
    """The masks that ``dropout_heads`` draws from seed 0."""
    kept = np.random.default_rng(0).random((passes, HIDDEN)) >= RATE
    return list(torch.from_numpy(kept.astype(np.float32) / np.float32(1 - RATE)))


def measured(name: str, batch: int, run: Run, expected: Array) -> Row:
    """One row: best CPU seconds, difference to the expected log-probabilities, growth of the peak resident set."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found, times = run(), []
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    for _ in range(REPEATS):
        started = time.process_time()
        run()
        times.append(time.process_time() - started)
    apart = float(np.abs(found - expected).max())
    return {"way": name, "batch": batch, "CPU s": min(times), "largest difference": apart, "peak grew, MiB": grown}
