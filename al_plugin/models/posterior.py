"""Posteriors as heads: each posterior sample is one last layer, the same for every input.

Joint predictions of several inputs mean something only under the same draw of the network, so a
draw is made once, as a head, and then applied to whatever inputs are asked for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_plugin.axes import Floats, FloatsLD
from al_plugin.errors import StrategyError
from al_plugin.math.laplace import laplace_draws
from al_plugin.models.outputs import in_units, task_of
from al_plugin.models.restore import head_of
from al_plugin.models.task import BATCH

# Logits per input and product: T C beyond it are taken in groups of heads.
_COLUMNS = 4096


@dataclass(frozen=True)
class Heads:
    """T last layers: ``weight`` (T, C, D) and ``bias`` (T, C), float32."""

    weight: Floats
    bias: Floats


def dropout_heads(
    card: Mapping[str, Any], weights: Mapping[str, np.ndarray], passes: int, rng: np.random.Generator
) -> Heads:
    """MC dropout: the head behind T masks of kept embedding units, scaled by 1 / (1 - dropout).

    W_t = W diag(m_t). StrategyError where the network has no dropout.
    Source: Gal & Ghahramani (2016); consistent masks after Kirsch et al. (2019).
    """
    rate = float(card["network"]["dropout"])
    if rate == 0:
        samples = "mc_log_probs" if task_of(card) == "classes" else "posterior samples"
        raise StrategyError(
            f"{samples} come from MC dropout, but the network was trained with dropout 0",
            change="set train.single.dropout above 0, or score.posterior to laplace",
        )
    weight, bias = head_of(weights)
    masks = (rng.random((passes, weight.shape[1])) >= rate).astype(np.float32) / np.float32(1 - rate)
    return Heads(weight * masks[:, None], np.tile(bias, (passes, 1)))


def laplace_heads(
    weights: Mapping[str, np.ndarray],
    labeled_embeddings: FloatsLD,
    passes: int,
    rng: np.random.Generator,
    *,
    precision: float = 1.0,
) -> Heads:
    """Last-layer Laplace: T heads from the Gaussian around the trained one; see ``laplace_draws``.

    ``precision`` of the isotropic Gaussian prior; without labels the draws come from it, centred at
    the head. It stands for the weight decay of a loss that is summed over the labelled samples.
    Source: MacKay (1992); Daxberger et al. (2021).
    """
    weight, bias = (array.astype(np.float64) for array in head_of(weights))
    ones = np.ones((len(labeled_embeddings), 1))
    inputs = np.concatenate([labeled_embeddings.astype(np.float64), ones], axis=1)
    mode = np.concatenate([weight, bias[:, None]], axis=1)
    draws = (mode + laplace_draws(mode, inputs, passes, rng, precision=precision)).astype(np.float32)
    return Heads(np.ascontiguousarray(draws[..., :-1]), np.ascontiguousarray(draws[..., -1]))


def mc_predictions(card: Mapping[str, Any], embeddings: Floats, heads: Heads) -> Floats:
    """Predictions of T heads: log-probabilities or log-odds of labels (T, N, C), or numbers (T, N)."""
    if task_of(card) == "classes":
        return mc_log_probs(embeddings, heads)
    return in_units(card, _mc_outputs(embeddings, heads))


def _mc_outputs(embeddings: Floats, heads: Heads) -> Floats:
    """h W_tᵀ + b_t (T, N, C), float32."""
    out = np.empty((len(heads.weight), len(embeddings), heads.weight.shape[1]), dtype=np.float32)
    for taken, rows, outputs in _blocks(embeddings, heads):
        out[taken, rows] = outputs.transpose(1, 0, 2)
    return out


def mc_log_probs(embeddings: Floats, heads: Heads) -> Floats:
    """Log-probabilities (T, N, C) of ``embeddings`` (N, D), float32: log softmax(h W_tᵀ + b_t)."""
    out = np.empty((len(heads.weight), len(embeddings), heads.weight.shape[1]), dtype=np.float32)
    for taken, rows, outputs in _blocks(embeddings, heads):
        logits = outputs.transpose(1, 0, 2)
        logits -= logits.max(axis=2, keepdims=True)
        logits -= np.log(np.exp(logits).sum(axis=2, keepdims=True))
        out[taken, rows] = logits
    return out


def _blocks(embeddings: Floats, heads: Heads) -> Iterator[tuple[slice, slice, Floats]]:
    """Heads, rows and their outputs (rows, heads, C): on the batch grid of ``forward``, many heads in a product."""
    passes, classes, width = heads.weight.shape
    group = max(1, _COLUMNS // classes)
    for first in range(0, passes, group):
        taken = slice(first, first + group)
        folded = np.ascontiguousarray(heads.weight[taken].reshape(-1, width).T)
        for start in range(0, len(embeddings), BATCH):
            rows = slice(start, start + BATCH)
            outputs = (embeddings[rows] @ folded).reshape(-1, len(heads.bias[taken]), classes)
            outputs += heads.bias[taken]
            yield taken, rows, outputs
