"""Forgetting on MNIST as Toneva et al. (2019) measured it: their network, optimiser, epochs and counting.

What their text leaves open is read from their program: pixels standardised with one mean and one deviation, batches
of 64, no dropout in the counted runs (``--no_dropout``), no weight decay; right or wrong is what the training forward
pass says. **Their 91.7 % are samples that none of five trainings ever forgets**, not those of one training.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import nn

from al_plugin.math.moments import moments
from al_plugin.models.body import ChannelsLast, Network
from al_plugin.models.fit import fit, seeded
from al_plugin.models.forward import forward
from al_plugin.models.network import settings_of, tensors_of
from al_plugin.models.recorder import Recorder
from al_plugin.models.task import Body, TrainingTask

from .forgetting import stochastic_gradient
from .images import Images
from .stats import Row

RATE, MOMENTUM, BATCH_SIZE = 0.01, 0.5, 64
MARKS = (1, 2, 5, 10, 20, 30, 50, 75, 100, 125, 150, 175, 200)


def published_network(shape: tuple[int, ...], classes: int) -> Network:
    """Two convolutions 5x5 (10 and 20 maps) with max-pooling, 50 hidden units, no dropout."""
    channels, height, width = shape
    left = [((side - 4) // 2 - 4) // 2 for side in (height, width)]
    trunk = nn.Sequential(
        ChannelsLast(shape),
        nn.Conv2d(channels, 10, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(10, 20, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(20 * left[0] * left[1], 50),
        nn.ReLU(),
    ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Network(channels * height * width, trunk, nn.Linear(50, classes), dropout=0.0)


def trained(data: Images, seed: int, epochs: int, folder: Path) -> None:
    """Train one seed; after each epoch ``epoch_NNN.npz`` holds the counts, first_learned and, by tens, accuracy."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    task = replace(_task(data, epochs), seed=seed)
    with seeded(seed), stochastic_gradient(MOMENTUM):
        model = published_network(data.body.shape, task.n_classes)
        mean, deviation = (torch.from_numpy(part.astype(np.float32)) for part in moments(data.train, 1))
        model.standardise(mean, deviation)
        seen = Recorder(task, lambda: np.empty(0, dtype=np.int64))

        def on_epoch(epoch: int, _loss: float) -> None:
            kept = {"forgotten": seen.forgetting.forgotten.astype(np.int16)}
            kept["first_learned"] = seen.forgetting.first_learned.astype(np.int16)
            kept["train_accuracy"] = np.float64(seen.curve["train_accuracy"][-1])
            if (epoch + 1) % 10 == 0:
                predicted = forward(model, data.test)[0].argmax(axis=1)
                kept["test_accuracy"] = np.float64((predicted == data.test_labels).mean())
            path = folder / f"epoch_{epoch + 1:03d}.npz"
            np.savez_compressed(path.with_suffix(".part.npz"), **kept)
            path.with_suffix(".part.npz").rename(path)

        fit(model, *tensors_of(task), settings_of(task), seen=seen, on_epoch=on_epoch)


def _task(data: Images, epochs: int) -> TrainingTask:
    return TrainingTask(
        features=data.train,
        labels=data.labels,
        pool_features=data.train[:1],
        n_classes=10,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        lr=RATE,
        weight_decay=0.0,
        dynamics_every=0,
        threads=1,
        seed=0,
        body=data.body,
    )


def forgetting_as_published(
    data: Images, *, seeds: int, epochs: int, workers: int, folder: str | None = None
) -> list[Row]:
    """A row for each number of epochs that all seeds reached; trains seeds that ``folder`` does not hold whole.

    *common* are samples that no seed forgets and each learns, as the paper counts; *Pearson* and *Spearman* are of
    two seeds' counts, a sample never learned counting as ``epochs`` events, means over pairs of seeds.
    """
    data = data if data.body.shape else enlarged(data)
    kept = Path(folder or gettempdir()) / f"al-forgetting-{data.name}"
    missing = [s for s in range(seeds) if not (kept / f"{s}" / f"epoch_{epochs:03d}.npz").exists()]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for job in [pool.submit(trained, data, seed, epochs, kept / f"{seed}") for seed in missing]:
            job.result()
    return rows_of(kept, seeds)


def enlarged(data: Images) -> Images:
    """Digits of 8x8 pixels as images of 28x28: every pixel three times, and a border."""

    def large(rows: np.ndarray) -> np.ndarray:
        images = rows.reshape(-1, 8, 8).repeat(3, axis=1).repeat(3, axis=2)
        return np.pad(images, ((0, 0), (2, 2), (2, 2))).reshape(len(rows), -1)

    return replace(data, train=large(data.train), test=large(data.test), body=Body("cnn", (1, 28, 28), 1))


def rows_of(kept: Path, seeds: int) -> list[Row]:
    """What the files of a folder say, at the marks that all of the first ``seeds`` have reached."""
    reached = min(len(list((kept / f"{seed}").glob("epoch_???.npz"))) for seed in range(seeds))
    return [_row(kept, seeds, epoch) for epoch in sorted({*(m for m in MARKS if m <= reached), reached})]


def _row(kept: Path, seeds: int, epoch: int) -> Row:
    runs = [dict(np.load(kept / f"{seed}" / f"epoch_{epoch:03d}.npz")) for seed in range(seeds)]
    counts = [np.where(run["first_learned"] < 0, epoch, run["forgotten"]).astype(np.float64) for run in runs]
    unforgettable = [count == 0 for count in counts]
    pairs = list(combinations(counts, 2))
    return {
        "epochs": epoch,
        "unforgettable, one seed": [float(one.mean()) for one in unforgettable],
        f"common to {seeds} seeds": float(np.logical_and.reduce(unforgettable).mean()),
        "never learned": float(np.mean([(run["first_learned"] < 0).sum() for run in runs])),
        "events a sample": float(np.mean([run["forgotten"].mean() for run in runs])),
        "Pearson of two seeds": float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])),
        "Spearman of two seeds": float(np.mean([spearmanr(a, b).statistic for a, b in pairs])),
        "train accuracy": float(np.mean([run["train_accuracy"] for run in runs])),
    }
