"""Signals of a fitted network, computed on one fixed batch grid."""

import numpy as np
import torch

from al_plugin.axes import Floats
from al_plugin.models.body import Network
from al_plugin.models.task import BATCH


def forward(model: Network, inputs: Floats, *, raw: bool = False) -> tuple[Floats, Floats]:
    """Log-probabilities (N, C) and embeddings (N, D) of ``inputs`` (N, width), float32; ``raw``: outputs (N, C).

    Rows are taken in batches of ``BATCH`` from the start of the array; the model is left in the
    mode it came in, and no gradient is kept.
    """
    was_training = model.training
    model.eval()
    log_probs: list[Floats] = []
    embeddings: list[Floats] = []
    with torch.inference_mode():
        for start in range(0, len(inputs), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(inputs[start : start + BATCH]))
            hidden = model.features(batch.to(model.mean.device))
            embeddings.append(hidden.cpu().numpy())
            outputs = model.head(hidden)
            log_probs.append((outputs if raw else torch.log_softmax(outputs, dim=1)).cpu().numpy())
    model.train(was_training)
    return np.concatenate(log_probs), np.concatenate(embeddings)
