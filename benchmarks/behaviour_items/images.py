"""The data: images that are not shipped, read from a folder, and scikit-learn's digits; splits and tasks of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_plugin.models.task import Body, TrainingTask

Array = np.ndarray
POOL, TEST = 3_000, 2_000
# params.yaml has .005, under which the convolutional network sometimes stays at chance: see learning_rate.
MLP_LR, CNN_LR = 0.005, 0.001


@dataclass(frozen=True)
class Images:
    """A data set: ``train`` (N, width), ``labels`` (N,), ``test`` (M, width), ``test_labels`` (M,), and its network."""

    name: str
    train: Array
    labels: Array
    test: Array
    test_labels: Array
    body: Body
    lr: float


@dataclass(frozen=True)
class Split:
    """One draw: a pool whose first ``n`` rows are labelled, and a test set; nested in ``n`` for one seed."""

    pool: Array
    truth: Array
    test: Array
    test_labels: Array
    n: int
    seed: int
    body: Body
    lr: float


def load(name: str, folder: Path | None) -> Images:
    """``digits``, or ``<folder>/<name>.npz`` with X_train, y_train, X_test, y_test of uint8."""
    if name == "digits":
        return digits()
    if folder is None:
        raise SystemExit(f"--data FOLDER is needed, with {name}.npz in it (or --small for digits)")
    with np.load(folder / f"{name}.npz") as file:
        train, labels, test, test_labels = (file[key] for key in ("X_train", "y_train", "X_test", "y_test"))
    shape = (1, *train.shape[1:])
    flat = [part.reshape(len(part), -1) for part in (train, test)]
    body = Body("cnn", shape, 1)
    return Images(name, flat[0], labels.astype(np.int64), flat[1], test_labels.astype(np.int64), body, CNN_LR)


def digits() -> Images:
    """1,198 digits of 8x8 pixels to train on and 599 to test, as vectors for the perceptron."""
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    features, labels = features[order].astype(np.float32), labels[order].astype(np.int64)
    return Images("digits", features[599:], labels[599:], features[:599], labels[:599], Body(), MLP_LR)


def split(data: Images, n: int, seed: int, *, pool: int = POOL, test: int = TEST) -> Split:
    """A random pool, random labels in it and a random test set, all three decided by ``seed``."""
    rng = np.random.default_rng([seed, 1])
    rows = rng.permutation(len(data.train))[:pool]
    held = rng.permutation(len(data.test))[:test]
    return Split(
        pool=data.train[rows],
        truth=data.labels[rows],
        test=data.test[held],
        test_labels=data.test_labels[held],
        n=n,
        seed=seed,
        body=data.body,
        lr=data.lr,
    )


def task_of(drawn: Split, *, epochs: int, lr: float | None = None, batch_size: int = 32, **other: int) -> TrainingTask:
    """The training of a split, as params.yaml comes but for ``epochs`` and, on images, ``lr``."""
    return TrainingTask(
        features=drawn.pool[: drawn.n],
        labels=drawn.truth[: drawn.n],
        pool_features=drawn.pool,
        n_classes=10,
        epochs=epochs,
        batch_size=batch_size,
        lr=drawn.lr if lr is None else lr,
        weight_decay=0.01,
        dynamics_every=0,
        threads=1,
        seed=1_000 + drawn.seed,
        body=drawn.body,
        **other,
    )
