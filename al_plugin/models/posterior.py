"""Posterior samples of the last layer: heads that are the same for every sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_plugin.axes import Floats
from al_plugin.errors import StrategyError
from al_plugin.models.task import BATCH


@dataclass(frozen=True)
class Heads:
    """T draws of the last linear layer: weight (T, C, D), bias (T, C), float32."""

    weight: Floats
    bias: Floats


def dropout_heads(
    card: Mapping[str, Any], weights: Mapping[str, np.ndarray], passes: int, rng: np.random.Generator
) -> Heads:
    """MC dropout on the last layer, its masks folded into the head's weights.

    One mask per pass, shared by the whole pool: each pass is one draw of the network, so that joint
    predictions of several samples mean something. StrategyError where the network has no dropout.
    Source: Gal & Ghahramani (2016); consistent masks after Kirsch et al. (2019).
    """
    rate = float(card["network"]["dropout"])
    if rate == 0:
        raise StrategyError(
            "mc_log_probs come from MC dropout, but the network was trained with dropout 0",
            change="set train.single.dropout above 0, or score.posterior to laplace",
        )
    head, bias = weights["head.weight"], weights["head.bias"]
    masks = (rng.random((passes, head.shape[1])) >= rate).astype(np.float32) / np.float32(1 - rate)
    return Heads(head * masks[:, None, :], np.repeat(bias[None], passes, axis=0))


def mc_log_probs(embeddings: Floats, heads: Heads) -> Floats:
    """Log-probabilities (T, N, C) under each head, float32: log softmax(h W_tᵀ + b_t).

    Rows are taken on the fixed batch grid of ``forward``.
    """
    out = np.empty((len(heads.weight), len(embeddings), heads.weight.shape[1]), dtype=np.float32)
    for t, (weight, bias) in enumerate(zip(heads.weight, heads.bias, strict=True)):
        folded = np.ascontiguousarray(weight.T)
        for start in range(0, len(embeddings), BATCH):
            logits = embeddings[start : start + BATCH] @ folded
            logits += bias
            logits -= logits.max(axis=1, keepdims=True)
            logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
            out[t, start : start + BATCH] = logits
    return out
