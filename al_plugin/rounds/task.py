"""From a round's inputs and settings to the task of a training method."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from al_plugin.axes import Ints
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Labeled
from al_plugin.errors import DataError
from al_plugin.math.holdout import stratified_holdout
from al_plugin.models.checkpoint import Checkpoints, Files, content_key
from al_plugin.models.task import Body, Options, Progress, TrainingTask
from al_plugin.strategies.registry import Strategy

# Settings that are no field of the task.
_ELSEWHERE = ("network", "augment", "holdout", "calibrate", "lr")
# Learning rates where none is set: at .005 one in ten trainings of the small cnn on 200 images of MNIST
# collapses (docs/behaviour.md), and .001 is AdamW's usual rate for convolutions.
_RATES = {"mlp": 0.005, "linear": 0.005}
_OTHER_RATE = 0.001
# The stream of the task's seed that draws the held-out samples.
_HOLDOUT = 5


@dataclass(frozen=True)
class Aside:
    """What stands beside a training and leaves its result as it is.

    ``files`` keep a long training every ``every`` seconds under a key that ``code`` and all inputs
    decide; ``progress`` is told of every batch.
    """

    files: Files | None = None
    every: float = 60.0
    code: str = ""
    progress: Progress | None = None


def held_out(labels: np.ndarray, share: float, seed: int) -> Ints:
    """Positions of the held-out labels, or DataError where none can be."""
    if not share:
        return np.empty(0, dtype=np.int64)
    rng = np.random.default_rng([seed, _HOLDOUT])
    if labels.ndim > 1 or np.issubdtype(labels.dtype, np.floating):  # sets and numbers have no classes to keep
        held = np.sort(rng.permutation(len(labels))[: min(max(1, round(share * len(labels))), len(labels) - 1)])
    else:
        held = stratified_holdout(labels, share, rng)
    if len(held) == 0:
        raise DataError(
            f"train.holdout {share} would leave no training sample of some class: "
            f"{len(labels)} labelled {'sample' if len(labels) == 1 else 'samples'}, no class has two",
            change="label more samples first, or set train.holdout to 0",
        )
    return held


def task_of(
    pool: Pool,
    labeled: Labeled,
    held: Ints,
    outputs: int,
    settings: Mapping[str, Any],
    round_number: int,
    kind: str = "classes",
) -> TrainingTask:
    """The task of a round: settings by name, and the samples at ``held`` out of the labelled ones."""
    features = pool.features[pool.positions(labeled.sample_ids)]
    trained = np.setdiff1d(np.arange(len(labeled.labels)), held)
    body = _body(pool, settings)
    options = {f.name: settings[f.name] for f in fields(Options) if f.name in settings}
    task = TrainingTask(
        features=features[trained],
        labels=labeled.labels[trained],
        pool_features=pool.features,
        n_classes=outputs,
        round=round_number,
        body=body,
        lr=_rate(settings["lr"], body),
        options=Options(**options),
        kind=kind,
        **{name: value for name, value in settings.items() if name not in (*options, *_ELSEWHERE)},
    )
    return replace(task, held_features=features[held], held_labels=labeled.labels[held]) if len(held) else task


def _body(pool: Pool, settings: Mapping[str, Any]) -> Body:
    """The network that was asked for; ``auto``: a small convolutional one for images, else a perceptron."""
    name = settings.get("network", "auto")
    if name == "auto":
        name = "cnn" if len(pool.shape) == 3 else "mlp"
    return Body(name, pool.shape, pool.groups, settings.get("augment", "none"))


def _rate(asked: float | None, body: Body) -> float:
    return _RATES.get(body.name, _OTHER_RATE) if asked is None else asked


def beside(task: TrainingTask, aside: Aside, strategy: Strategy, knobs: Mapping[str, Any]) -> TrainingTask:
    """The task with its checkpoints: their key is the content of everything that decides the result."""
    if aside.files is None or aside.every == 0:
        return replace(task, progress=aside.progress)
    key = content_key(task, strategy.name, dict(knobs), aside.code)
    return replace(task, progress=aside.progress, checkpoints=Checkpoints(aside.files, key, aside.every))
