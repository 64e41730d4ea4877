"""A network that starts from an earlier one instead of from fresh weights."""

import torch

from al_plugin.errors import ModelError
from al_plugin.models.body import Network
from al_plugin.models.restore import members
from al_plugin.models.task import Start, TrainingTask

_CHANGE = "run al warm-start on a model like that, or set train.warm_start to null"


def warm_up(model: Network, task: TrainingTask, start: Start, member: int | None) -> None:
    """Shrink and perturb: every parameter of the fresh ``model`` w becomes shrink · w_old + perturb · w.

    ``member`` of a committee, None for a single network. The noise is a fresh network and not one deviation for
    all weights, since initial weights differ in scale from layer to layer. Buffers stay those of ``model``.
    ModelError where the earlier model is another one. Source: Ash & Adams (2020).
    """
    wanted = "mlp" if member is None else "ensemble"
    if start.network["kind"] != wanted:
        raise _other(f"a model of kind {start.network['kind']}", f"this training method makes one of kind {wanted}")
    body = str(start.network["body"])
    if body != task.body.name:
        raise _other(f"network {body}", f"this training is of network {task.body.name}")
    earlier = members({"network": start.network}, start.weights)
    if member is not None and member >= len(earlier):
        raise _other(f"{len(earlier)} members", f"member {member + 1} is asked for")
    old = earlier[member or 0]
    fresh = dict(model.named_parameters())
    for name, weight in fresh.items():
        found = old[name].shape if name in old else None
        if found != tuple(weight.shape):
            raise _other(f"{name} of shape {found}", f"this network's is {tuple(weight.shape)}")
    with torch.no_grad():
        for name, weight in fresh.items():
            weight.mul_(start.perturb).add_(start.shrink * torch.from_numpy(old[name]))


def _other(found: str, asked: str) -> ModelError:
    return ModelError(f"train.warm_start: data/start holds {found}, {asked}", change=_CHANGE)
