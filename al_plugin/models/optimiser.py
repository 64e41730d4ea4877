"""AdamW without its class, and the learning rate over a training."""

from math import cos, pi

import torch
from torch import nn
from torch.optim.adamw import adamw

from al_plugin.models.checkpoint import State
from al_plugin.models.task import Options


class AdamW:
    """AdamW over the parameters' gradients (Loshchilov & Hutter 2019), betas .9 and .999; call for a step.

    torch's functional form: the class `torch.optim.AdamW` imports the compiler for a second.
    """

    def __init__(self, parameters: list[nn.Parameter], weight_decay: float) -> None:
        self.parameters, self._weight_decay = parameters, weight_decay
        self._first = [torch.zeros_like(p) for p in parameters]
        self._second = [torch.zeros_like(p) for p in parameters]
        self._steps = [torch.zeros(()) for _ in parameters]

    def __call__(self, lr: float) -> None:
        """One step with rate ``lr``."""
        # A parameter that a loss does not reach (a detached module) has no gradient and stays.
        reached = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        with torch.no_grad():
            adamw(
                [self.parameters[i] for i in reached],
                [gradient for i in reached if (gradient := self.parameters[i].grad) is not None],
                [self._first[i] for i in reached],
                [self._second[i] for i in reached],
                [],
                [self._steps[i] for i in reached],
                foreach=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=lr,
                weight_decay=self._weight_decay,
                eps=1e-8,
                maximize=False,
            )

    def state(self) -> State:
        """Both moments and the number of steps of every parameter."""
        kept: State = {"steps": torch.stack(self._steps).numpy() if self._steps else []}
        for name, moments in (("first", self._first), ("second", self._second)):
            kept |= {f"{name}.{i}": moment.cpu().numpy() for i, moment in enumerate(moments)}
        return kept

    def resume(self, state: State) -> None:
        """Set the moments; they keep their layout in memory, and with it the order of sums."""
        for i, steps in enumerate(state["steps"]):
            self._steps[i].fill_(float(steps))
        for name, moments in (("first", self._first), ("second", self._second)):
            for i, moment in enumerate(moments):
                moment.copy_(torch.from_numpy(state[f"{name}.{i}"]))


def rate_share(step: int, steps: int, options: Options) -> float:
    """Learning rate at ``step`` of ``steps``, as a share of ``lr``, in (0, 1].

    For W = warmup · steps it rises as (step + 1) / W, up to 1; then, with t = (step - W) / (steps - W):
    1 (constant), ½ (1 + cos πt) (cosine; Loshchilov & Hutter 2017), or 1 - t (linear).
    """
    warm = round(options.warmup * steps)
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / (steps - warm)
    if options.schedule == "cosine":
        return 0.5 * (1.0 + cos(pi * done))
    return 1.0 - done if options.schedule == "linear" else 1.0
