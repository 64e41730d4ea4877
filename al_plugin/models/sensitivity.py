"""How a network's outputs move when all its weights are changed a little."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from al_plugin.axes import Floats, FloatsNP
from al_plugin.models.body import Network
from al_plugin.models.task import BATCH


def output_deviations(model: Network, inputs: Floats, passes: int, seed: int, *, relative: float = 1e-3) -> FloatsNP:
    """Change of the predicted probabilities under each of ``passes`` random changes of all weights.

    Each weight tensor gets Gaussian noise of length ``relative`` times its own; column k · C + c is the
    change of p_c in pass k, in [-1, 1]: shape (N, passes · C), float32, computed in float64. The first
    passes do not depend on their number. Weights, mode and generators stay as they are; rows are taken
    in batches of ``BATCH``. Source: Li et al. (2024), NoiseStability.
    """
    was_training = model.training
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        tensors = {name: tensor.double() for name, tensor in model.state_dict().items()}
        weights = {name: tensors[name] for name, _ in model.named_parameters()}
        networks = [{**tensors, **_changed(weights, relative, generator)} for _ in range(passes)]
        batches = [_deviations(model, tensors, networks, batch) for batch in _batches(inputs)]
    model.train(was_training)
    return np.concatenate(batches)


def _changed(weights: dict[str, Tensor], relative: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Copies of the weights, each with noise of ``relative`` times its length added."""
    changed = {}
    for name, weight in weights.items():
        noise = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
        changed[name] = weight + noise * (relative * weight.norm() / noise.norm())
    return changed


def _deviations(model: Network, tensors: dict[str, Tensor], networks: list[dict[str, Tensor]], batch: Tensor) -> Floats:
    base = _probabilities(model, tensors, batch)
    moved = [_probabilities(model, network, batch) - base for network in networks]
    deviations: Floats = torch.cat(moved, dim=1).float().numpy()
    return deviations


def _probabilities(model: Network, tensors: dict[str, Tensor], batch: Tensor) -> Tensor:
    logits: Tensor = functional_call(model, tensors, (batch,))
    return logits.softmax(dim=1)


def _batches(inputs: Floats) -> Iterator[Tensor]:
    """One batch at a time: in float64 the pool is up to eight times as large."""
    for start in range(0, len(inputs), BATCH):
        yield torch.from_numpy(np.ascontiguousarray(inputs[start : start + BATCH])).double()
