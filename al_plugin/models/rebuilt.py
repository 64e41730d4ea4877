"""Modules back from a card and weights: one network, or all networks of a committee behind one module."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from al_plugin.axes import Floats
from al_plugin.errors import ModelError
from al_plugin.models.outputs import in_units, mean_prediction, task_of
from al_plugin.models.task import BATCH

if TYPE_CHECKING:
    from al_plugin.models.body import Network

Weights = Mapping[str, np.ndarray]
# Rows at a time of a committee; whole batches, so that the grid of forward is that of all rows.
_BLOCK = 32 * BATCH


@contextmanager
def understood() -> Iterator[None]:
    """ModelError where the block cannot make a model of a card and weights: no code of the user's runs in it."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError) as error:
        raise ModelError(
            f"the model card and the weights do not make a model ({error!r:.300})", change="train again"
        ) from error


@understood()
def rebuild(card: Mapping[str, Any], weights: Weights) -> "Network":
    """The module of one network."""
    # torch takes a second to import: round 0 has no model and does without.
    import torch

    from al_plugin.models.body import NAMES

    network = card["network"]
    if network["body"] in NAMES:
        # Without memory first: a card may claim any size.
        with torch.device("meta"):
            _refuse_others(_built(network), weights)
    model = _built(network)
    _load(model, weights)
    return model


def _built(network: Mapping[str, Any]) -> "Network":
    from al_plugin.models.body import build
    from al_plugin.models.task import Body

    shape = tuple(network["shape"])
    model = build(
        Body(network["body"], shape),
        math.prod(shape),
        network["classes"],
        hidden=network["hidden"],
        dropout=network["dropout"],
    )
    if network["kind"] == "cosine":
        from al_plugin.models.minimax import Cosine

        model = Cosine(model, temperature=network["temperature"])
    return model


def _refuse_others(model: "Network", weights: Weights) -> None:
    """ValueError unless the weights have the names and shapes of the network's."""
    claimed = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in sorted(claimed.keys() | weights.keys()):
        there = weights[name].shape if name in weights else None
        if claimed.get(name) != there:
            raise ValueError(f"{name} is {there}, the card says {claimed.get(name)}")


class Networks:
    """Networks of one form. One module takes the weights of each in turn, for each block of rows.

    So neither the modules of all of them nor their predictions of all rows are held at once. Under other tasks
    than classes log-odds of labels, or numbers (T, N) and (N,), stand where log-probabilities are said below.
    """

    def __init__(self, card: Mapping[str, Any], networks: Sequence[Weights]) -> None:
        self._card, self._networks = card, networks
        self._module: Network | None = None

    def log_probs(self, features: Floats) -> Floats:
        """Log-probabilities (T, N, C) of each network, float32."""
        return np.concatenate([np.stack(found) for found, _ in self._blocks(features)], axis=1)

    def mean(self, features: Floats) -> tuple[Floats, Floats]:
        """Log of the mean probabilities (N, C), and embeddings (N, D) of the first network."""
        parts = [(mean_prediction(self._card, found), embeddings) for found, embeddings in self._blocks(features)]
        return np.concatenate([mean for mean, _ in parts]), np.concatenate([one for _, one in parts])

    def both(self, features: Floats) -> tuple[Floats, Floats, Floats]:
        """``log_probs``, and the two of ``mean``, in one pass."""
        parts = [
            (np.stack(found), mean_prediction(self._card, found), embeddings)
            for found, embeddings in self._blocks(features)
        ]
        each, mean, embeddings = zip(*parts, strict=True)
        return np.concatenate(each, axis=1), np.concatenate(mean), np.concatenate(embeddings)

    def _blocks(self, features: Floats) -> Iterator[tuple[list[Floats], Floats]]:
        """By block: log-probabilities (rows, C) of each network, and the first one's embeddings (rows, D)."""
        from al_plugin.models.forward import forward

        classes = task_of(self._card) == "classes"
        if self._module is None:
            self._module = rebuild(self._card, self._networks[0])
        for start in range(0, len(features), _BLOCK):
            rows = features[start : start + _BLOCK]
            found: list[Floats] = []
            embeddings: Floats | None = None
            for weights in self._networks:
                if len(self._networks) > 1:
                    _load(self._module, weights)
                outputs, hidden = forward(self._module, rows, raw=not classes)
                found.append(outputs if classes else in_units(self._card, outputs))
                embeddings = hidden if embeddings is None else embeddings
            if embeddings is not None:
                yield found, embeddings


def _load(module: Any, weights: Weights) -> None:
    import torch

    module.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
