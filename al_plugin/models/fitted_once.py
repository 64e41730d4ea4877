"""What models have in common that are fitted in one call: no epochs, no torch."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from al_plugin.axes import Floats, Ints
from al_plugin.math.dynamics import DispersionStream, ForgettingStream
from al_plugin.math.moments import moments, scale_of, standardised
from al_plugin.models.task import Description, Fitted, TrainingTask


@contextmanager
def fitting(seed: int, threads: int) -> Iterator[None]:
    """Fit on ``threads`` threads, with the global generators seeded and put back afterwards.

    A user's estimator may draw from them: it is repeatable all the same. ``n_jobs`` that is left at
    None means ``threads`` inside.
    """
    from joblib import parallel_config
    from threadpoolctl import threadpool_limits

    legacy, python = np.random.get_state(), random.getstate()  # noqa: NPY002 - the global generator
    try:
        np.random.seed(sklearn_seed(seed))  # noqa: NPY002
        random.seed(seed)
        with parallel_config(backend="threading", n_jobs=threads), threadpool_limits(threads):
            yield
    finally:
        np.random.set_state(legacy)  # noqa: NPY002
        random.setstate(python)


@contextmanager
def predicting() -> Iterator[None]:
    """Predict on one thread: sums over several would depend on which of them is the first."""
    from joblib import parallel_config
    from threadpoolctl import threadpool_limits

    with parallel_config(backend="sequential"), threadpool_limits(1):
        yield


def sklearn_seed(seed: int) -> int:
    """A seed as scikit-learn takes them, below 2^32."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0])


def pool_scale(pool_features: np.ndarray) -> dict[str, np.ndarray]:
    """``mean`` and ``scale`` (width,) of the pool, float64; a constant feature has scale 1."""
    mean, deviation = moments(pool_features, pool_features.shape[1])
    return {"mean": mean, "scale": scale_of(deviation)}


def scaled(weights: Mapping[str, np.ndarray], features: np.ndarray) -> Floats:
    """Features standardised by the pool, float64."""
    return standardised(features, weights["mean"], weights["scale"])


def once(task: TrainingTask, weights: Mapping[str, np.ndarray], network: Description, log_probs: Floats) -> Fitted:
    """The result of a fit without epochs: one row of the curve, nothing presented, no pool predictions recorded.

    ``log_probs`` (L, C) are the fitted model's on the labelled samples: loss and accuracy are read off
    them.
    """
    rows: Ints = np.arange(len(task.labels))
    loss = -float(log_probs[rows, task.labels].astype(np.float64).mean())
    accuracy = float((log_probs.argmax(axis=1) == task.labels).mean())
    return Fitted(
        weights,
        network,
        {"epoch": [0], "loss": [loss], "train_accuracy": [accuracy]},
        ForgettingStream(len(task.labels)),
        DispersionStream(len(task.pool_features), task.n_classes),
    )
