"""Signals of a fitted network, computed on one fixed batch grid."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from al_plugin.axes import Floats, Ints
from al_plugin.models.body import Network
from al_plugin.models.task import BATCH


def forward(model: Network, inputs: Floats, *, raw: bool = False) -> tuple[Floats, Floats]:
    """Log-probabilities (N, C) and embeddings (N, D) of ``inputs`` (N, width), float32; ``raw``: outputs (N, C).

    Rows are taken in batches of ``BATCH`` from the start of the array; the model is left in the
    mode it came in, and no gradient is kept.
    """
    whole: list[Floats] = []
    for start, batch in _batches(model, inputs, raw=raw):
        rows = [signal.cpu().numpy() for signal in batch]
        # Written where they belong: a list of batches, put together at the end, would hold everything twice.
        whole = whole or [np.empty((len(inputs), *values.shape[1:]), dtype=values.dtype) for values in rows]
        for signal, values in zip(whole, rows, strict=True):
            signal[start : start + len(values)] = values
    log_probs, embeddings = whole
    return log_probs, embeddings


def classes(model: Network, inputs: Floats) -> Ints:
    """Class of the greatest log-probability (N,), as ``forward`` gives them, with one batch held at a time."""
    batches = _batches(model, inputs, raw=False)
    return np.concatenate([logs.cpu().numpy().argmax(axis=1) for _, (logs, _) in batches])


def _batches(model: Network, inputs: Floats, *, raw: bool) -> Iterator[tuple[int, tuple[Tensor, Tensor]]]:
    """Log-probabilities and embeddings of each batch of the grid, with its first row."""
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(inputs), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(inputs[start : start + BATCH]))
            hidden = model.features(batch.to(model.mean.device))
            outputs = model.head(hidden)
            yield start, (outputs if raw else torch.log_softmax(outputs, dim=1), hidden)
    model.train(was_training)
