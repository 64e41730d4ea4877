"""The cells of benchmarks/auto.py: seven data sets at three budgets, each a pool drawn anew for every seed."""

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))

from kinds import KINDS, Samples

from al_plugin.config import read_params
from al_plugin.data.forms.part import Part, Settings
from al_plugin.data.pool import pool_of, sample_table
from al_plugin.data.sets import Evaluation
from al_plugin.settings import Params
from al_plugin.simulate.data import Data

POOL, EVALUATION = 3000, 2000
TEXT_FEATURES = 1024


@dataclass(frozen=True)
class Budget:
    """``start`` random first labels (0: the strategy chooses them too), then ``rounds`` queries of ``n``."""

    start: int
    n: int
    rounds: int

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.start} to {self.start + self.n * self.rounds} labels by {self.n}"


USUAL = {"low": Budget(0, 10, 6), "middle": Budget(50, 50, 4), "high": Budget(300, 100, 3)}
# 26 classes, and a pool of 1,198.
OTHERS = {
    "Letter": {"low": Budget(0, 26, 6), "middle": Budget(130, 100, 4), "high": Budget(600, 150, 3)},
    "digits": USUAL | {"high": Budget(200, 80, 3)},
}
SETS = {
    "MNIST": "images (MNIST)",
    "Fashion-MNIST": "images (Fashion-MNIST)",
    "TREC": "texts (TREC-6)",
    "SST-2": "texts (SST-2)",
    "Adult": "tables (Adult)",
    "Letter": "vectors (Letter)",
    "digits": "",
}


@dataclass(frozen=True)
class Cell:
    """One data set at one budget; ``folder`` holds the files of kinds.py."""

    data: str
    level: str
    folder: str

    @property
    def name(self) -> str:
        """Data set and level."""
        return f"{self.data}, {self.level}"

    @property
    def budget(self) -> Budget:
        """Its labels."""
        return OTHERS.get(self.data, USUAL)[self.level]


def cells(folder: str) -> list[Cell]:
    """All 21."""
    return [Cell(data, level, folder) for level in USUAL for data in SETS]


@cache
def samples(data: str, folder: str) -> tuple[Samples, Samples]:
    """Training and test samples; images as means of 2x2 pixels, so that a perceptron is quick."""
    if data == "digits":
        from sklearn.datasets import load_digits

        features, labels = load_digits(return_X_y=True)
        ids = [f"digit-{i:04d}" for i in range(len(labels))]
        whole = (sample_table(ids, features / 16.0), None, [str(label) for label in labels])
        return whole, whole
    train, test = KINDS[SETS[data]](Path(folder))
    return _smaller(train), _smaller(test)


def _smaller(of: Samples) -> Samples:
    table, array, labels = of
    if array is None:
        return of
    n, height, width = array.shape
    means = array.reshape(n, height // 2, 2, width // 2, 2).mean(axis=(2, 4)).round().astype(np.uint8)
    return table, means, labels


def classes_of(cell: Cell) -> tuple[str, ...]:
    return tuple(sorted(set(samples(cell.data, cell.folder)[0][2])))


def data_of(cell: Cell, seed: int) -> Data:
    """Pool and evaluation set of one seed, drawn from the training and the test samples (digits: split)."""
    rng = np.random.default_rng([31, seed])
    train, test = samples(cell.data, cell.folder)
    order = rng.permutation(len(train[2]))
    if cell.data == "digits":
        aside, chosen = order[: len(order) // 3], order[len(order) // 3 :]
    else:
        chosen, aside = order[:POOL], rng.permutation(len(test[2]))[:EVALUATION]
    classes = classes_of(cell)
    pool = pool_of({"part-00000": _part(train, chosen)}, Settings(text_features=TEXT_FEATURES))
    measured = Evaluation(pool.encoded(_part(test, aside)), _numbers(test, aside, classes))
    return Data(pool, _numbers(train, chosen, classes), classes, measured, source="benchmark")


def _part(of: Samples, rows: np.ndarray) -> Part:
    table, array, _ = of
    return Part(table.take(pa.array(rows)), "benchmark", None if array is None else array[rows])


def _numbers(of: Samples, rows: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    place = {name: i for i, name in enumerate(classes)}
    return np.array([place[of[2][row]] for row in rows], dtype=np.int64)


def params_of(cell: Cell) -> Params:
    """The defaults, but a perceptron for images and a linear network for texts, no dynamics, no random share."""
    network = "linear" if SETS[cell.data].startswith("texts") else "mlp"
    quoted = ", ".join(f'"{name}"' for name in classes_of(cell))
    text = f"campaign: {{name: auto, classes: [{quoted}]}}\ndata: {{text_features: {TEXT_FEATURES}}}\n"
    return read_params(
        (text + f"train: {{network: {network}, dynamics_every: 0}}\nselect: {{random_share: 0}}\n").encode()
    )
