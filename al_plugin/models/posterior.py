"""MC dropout on the last layer: posterior samples that are the same network for every sample."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from al_plugin.axes import Floats
from al_plugin.errors import StrategyError
from al_plugin.models.task import BATCH

HEAD = ("head.weight", "head.bias")


def dropout_masks(card: Mapping[str, Any], passes: int, rng: np.random.Generator) -> Floats:
    """Masks (T, D) of kept embedding units, scaled by 1 / (1 - dropout), float32.

    One mask per pass, shared by the whole pool: each pass is one draw of the network, so that joint
    predictions of several samples mean something. StrategyError where the network has no dropout.
    Source: Gal & Ghahramani (2016); consistent masks after Kirsch et al. (2019).
    """
    rate = float(card["network"]["dropout"])
    if rate == 0:
        raise StrategyError(
            "mc_log_probs come from MC dropout, but the network was trained with dropout 0",
            change="set train.single.dropout above 0",
        )
    width = int(card["network"]["hidden"])
    kept: Floats = (rng.random((passes, width)) >= rate).astype(np.float32) / np.float32(1 - rate)
    return kept


def mc_log_probs(weights: Mapping[str, np.ndarray], embeddings: Floats, masks: Floats) -> Floats:
    """Log-probabilities (T, N, C) of the passes, float32: log softmax((h ∘ m_t) Wᵀ + b).

    The mask is folded into the head's weights, so a pass costs one N x D x C product. Rows are taken
    on the fixed batch grid of ``forward``.
    """
    head, bias = (weights[name] for name in HEAD)
    out = np.empty((len(masks), len(embeddings), len(bias)), dtype=np.float32)
    for t, mask in enumerate(masks):
        folded = np.ascontiguousarray((head * mask).T)
        for start in range(0, len(embeddings), BATCH):
            logits = embeddings[start : start + BATCH] @ folded
            logits += bias
            logits -= logits.max(axis=1, keepdims=True)
            logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
            out[t, start : start + BATCH] = logits
    return out
