"""Promises of training strategies, on a task of a dozen labels that takes a fraction of a second."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from al_plugin.axes import Ints
from al_plugin.checks.common import edges
from al_plugin.checks.outside import changed_generators, generator_states, kept_generators, seed_generators
from al_plugin.checks.result import check, require
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Evaluation, Labeled
from al_plugin.models.checkpoint import Checkpoints
from al_plugin.models.restore import model_signals
from al_plugin.models.task import Fitted, TrainingTask
from al_plugin.rounds.train import CURVE_COLUMNS, Trained, train
from al_plugin.signals import SIGNALS, check_signal
from al_plugin.strategies.registry import Strategy

_POOL, _LABELED, _CLASSES, _WIDTH, _EPOCHS = 24, 12, 3, 4, 5


def _task(*, seed: int = 1, **changes: Any) -> TrainingTask:
    """Three blobs of whole numbers; the first twelve pool samples are labelled."""
    rng = np.random.default_rng(seed=0)
    truth = np.arange(_POOL) % _CLASSES
    pool = (4.0 * np.eye(_CLASSES, _WIDTH)[truth] + rng.integers(-1, 2, size=(_POOL, _WIDTH))).astype(np.float32)
    task = TrainingTask(
        features=pool[:_LABELED].copy(),
        labels=truth[:_LABELED].astype(np.int64),
        pool_features=pool,
        n_classes=_CLASSES,
        epochs=_EPOCHS,
        batch_size=5,
        lr=0.01,
        weight_decay=0.01,
        dynamics_every=2,
        threads=1,
        seed=seed,
    )
    return replace(task, **changes)


def _fit(strategy: Strategy, task: TrainingTask, **knobs: Any) -> Fitted:
    fitted: Fitted = strategy.function(task, **knobs)
    return fitted


def _bytes(fitted: Fitted) -> dict[str, bytes]:
    return {name: np.ascontiguousarray(array).tobytes() for name, array in fitted.weights.items()}


def _round(strategy: Strategy, task: TrainingTask) -> Trained:
    """The round's own train on that task."""
    ids = np.array([f"sample-{position:02d}" for position in range(_POOL)], dtype=object)
    settings = {name: getattr(task, name) for name in _SETTINGS}
    return train(
        Pool(ids, task.pool_features, {"part-00000": _POOL}),
        Labeled([str(sample) for sample in ids[:_LABELED]], task.labels),
        Evaluation(task.pool_features, np.arange(_POOL) % _CLASSES),
        tuple("abc"),
        strategy,
        settings,
        {},
        1,
    )


_SETTINGS = ("epochs", "batch_size", "lr", "weight_decay", "dynamics_every", "threads", "seed")


@check("train")
def fitted_form(strategy: Strategy) -> None:
    """Weights are finite arrays by name, every curve has one value per epoch."""
    fitted = _fit(strategy, _task())
    require(len(fitted.weights) > 0, "there are no weights")
    for name, array in fitted.weights.items():
        require(isinstance(array, np.ndarray) and np.isfinite(array).all(), f"weights {name} are not finite arrays")
    missing = set(CURVE_COLUMNS) - set(fitted.curve)
    require(not missing, f"the curve lacks {', '.join(sorted(missing))}")
    lengths = {name: len(values) for name, values in fitted.curve.items()}
    require(set(lengths.values()) == {_EPOCHS}, f"{_EPOCHS} epochs gave curves of length {lengths}")
    require(all(np.isfinite(values).all() for values in fitted.curve.values()), "a curve is not finite")


@check("train")
def repeatable(strategy: Strategy) -> None:
    """The same task and seed give the same weights, bit for bit, whatever was trained in between."""
    first = _bytes(_fit(strategy, _task()))
    other = _bytes(_fit(strategy, _task(seed=2, labels=_task().labels[::-1].copy())))
    require(_bytes(_fit(strategy, _task())) == first, "a second training gave other weights")
    require(other != first, "another task gave the same weights")


@check("train")
def seed_matters(strategy: Strategy) -> None:
    """Another seed gives other weights."""
    require(_bytes(_fit(strategy, _task())) != _bytes(_fit(strategy, _task(seed=2))), "two seeds gave the same weights")


@check("train")
def global_generators(strategy: Strategy) -> None:
    """The global generators of torch, NumPy and Python are neither used nor moved."""
    import torch  # noqa: F401 - its generator is looked at only once it is imported

    with kept_generators():
        seed_generators(1)
        before = generator_states()
        first = _bytes(_fit(strategy, _task()))
        moved = changed_generators(before, generator_states())
        require(not moved, f"moved the global generator of {', '.join(moved)}")
        seed_generators(2)
        require(_bytes(_fit(strategy, _task())) == first, "the weights depend on a global generator")


@check("train")
def inputs_unwritten(strategy: Strategy) -> None:
    """Features and labels are read, never written, and the weights share no memory with them."""
    task = _task()
    arrays = {"features": task.features, "labels": task.labels, "pool_features": task.pool_features}
    before = {name: array.tobytes() for name, array in arrays.items()}
    fitted = _fit(strategy, task)
    for name, array in arrays.items():
        require(array.tobytes() == before[name], f"wrote into {name}")
        require(not any(np.shares_memory(w, array) for w in fitted.weights.values()), f"weights share {name}")


@check("train")
def signals_provided(strategy: Strategy) -> None:
    """The signals on the card come out of the round, of the right shape and finite."""
    task = _task()
    trained = _round(strategy, task)
    # A method may also be trained for other tasks, and gives other signals then; this task is of classes.
    provides = {name for name in strategy.card.provides if name not in SIGNALS or SIGNALS[name].under("classes")}
    require(set(trained.card["signals"]) == provides, f"the card says {trained.card['signals']}")
    unknown = set(strategy.card.provides) - set(SIGNALS)
    require(not unknown, f"provides {', '.join(sorted(unknown))}, which no strategy can ask for")
    log_probs, embeddings = model_signals(trained.card, trained.weights, task.pool_features)
    given: Mapping[str, np.ndarray] = {"log_probs": log_probs, "embeddings": embeddings}
    sizes = {"N": _POOL, "C": _CLASSES}
    for name in set(given) & set(strategy.card.provides):
        check_signal(name, given[name], None, sizes)
    require(np.allclose(np.exp(log_probs).sum(axis=1), 1.0, atol=1e-5), "predicted probabilities do not sum to 1")
    if "pool_dispersion" in strategy.card.provides:
        dispersion = np.array(trained.dynamics.column("pool_dispersion"), dtype=np.float64)
        check_signal("pool_dispersion", dispersion, None, sizes)
        require(dispersion.min() >= 0 and dispersion.max() <= 0.5, f"dispersion of 2 epochs reaches {dispersion.max()}")


@check("train")
def dynamics_recorded(strategy: Strategy) -> None:
    """Every labelled sample is presented and counted; the pool is recorded every ``dynamics_every`` epochs."""
    fitted = _fit(strategy, _task())
    presented: Ints = fitted.forgetting.presented
    require(presented.shape == (_LABELED,), f"forgetting events of {len(presented)} samples, {_LABELED} are labelled")
    require((presented >= 1).all(), "a labelled sample was never presented")
    require((fitted.forgetting.forgotten <= presented // 2).all(), "more forgetting events than presentations allow")
    for every, expected in ((2, _EPOCHS // 2), (1, _EPOCHS), (0, 0)):
        found = _fit(strategy, _task(dynamics_every=every)).dispersion.epochs
        require(found == expected, f"dynamics_every = {every}: {found} epochs recorded, not {expected}")


@check("train")
def learns(strategy: Strategy) -> None:
    """Three separate blobs are learned: the loss falls and the labelled samples are classified rightly."""
    fitted = _fit(strategy, _task(epochs=60, lr=0.05))
    losses, accuracy = fitted.curve["loss"], fitted.curve["train_accuracy"]
    require(losses[-1] < losses[0], f"the loss went from {losses[0]:.3f} to {losses[-1]:.3f}")
    require(max(accuracy[-5:]) >= 0.9, f"training accuracy is {accuracy[-1]:.2f} on separate blobs")


@check("train")
def few_labels(strategy: Strategy) -> None:
    """Labels of a single class, and a single label, are fitted without a crash."""
    task = _task()
    one_class = replace(task, labels=np.zeros_like(task.labels))
    for one in (one_class, replace(task, features=task.features[:1], labels=task.labels[:1])):
        fitted = _fit(strategy, one)
        require(all(np.isfinite(array).all() for array in fitted.weights.values()), "weights are not finite")


class _Memory(dict[str, bytes]):
    """Files of a training in memory."""

    def read(self, name: str) -> bytes | None:
        return self.get(name)

    def write(self, name: str, content: bytes) -> None:
        self[name] = content


class _KilledError(Exception):
    """Stands for the end of the process."""


@check("train")
def resumed(strategy: Strategy) -> None:
    """Killed on its way and trained again with what was kept, it gives the same, bit for bit."""

    def at(batch: int, files: _Memory) -> Fitted:
        batches = count(1)

        def progress(*_: float) -> None:
            if next(batches) == batch:
                raise _KilledError

        return _fit(strategy, _task(progress=progress, checkpoints=Checkpoints(files, "training", 0.0)))

    def all_of(fitted: Fitted) -> tuple[Any, ...]:
        return _bytes(fitted), dict(fitted.curve), fitted.forgetting.forgotten.tolist()

    expected = all_of(_fit(strategy, _task()))
    for batch in (4, 9):
        files = _Memory()
        with suppress(_KilledError):
            at(batch, files)
        require(all_of(at(0, files)) == expected, f"killed after batch {batch}, it went on to something else")


@check("train")
def knob_edges(strategy: Strategy) -> None:
    """Every knob may stand at either end of its range."""
    for name, value in edges(strategy):
        _fit(strategy, _task(epochs=2), **{name: value})
