"""The sets a round works on, as arrays: labelled, evaluation, scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from al_plugin.axes import Floats, Ints
from al_plugin.data.pool import Pool


@dataclass(frozen=True)
class Labeled:
    """The labelled set: ids in the order of the merged table, labels as ``al_plugin.targets`` makes them.

    Class indices (L,), or 0 and 1 by label (L, C), or numbers (L,).
    """

    sample_ids: list[str]
    labels: np.ndarray

    def per_class(self, classes: int) -> list[int]:
        """Number of labels of each class; of all of them where there are no classes."""
        if self.labels.ndim == 2:
            return [int(count) for count in self.labels.sum(axis=0)]
        if np.issubdtype(self.labels.dtype, np.floating):
            return [len(self.labels)]
        return [int(count) for count in np.bincount(self.labels, minlength=classes)]


@dataclass(frozen=True)
class Evaluation:
    """The evaluation set: features (M, width) and labels, as those of ``Labeled``."""

    features: Floats
    labels: np.ndarray


@dataclass(frozen=True)
class Scoreboard:
    """What score left behind, in pool order: ids (N,), score (N,) or None, predicted, confidence."""

    ids: np.ndarray
    scores: Floats | None
    predicted: list[str | None]
    confidence: list[float | None]

    def positions(self, sample_ids: Sequence[str]) -> Ints:
        """Positions of samples of the pool, shape (L,)."""
        index = {sample_id: position for position, sample_id in enumerate(self.ids)}
        return np.array([index[sample_id] for sample_id in sample_ids], dtype=np.int64)


@dataclass(frozen=True)
class Model:
    """What train left behind: the card, tensors by name, and signals over the pool (N,) by name."""

    card: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    dynamics: Mapping[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Inputs:
    """What signals come from, beside the model: ``targets`` (M, width) and ``annotations`` (N, A) or None."""

    pool: Pool
    labeled: Labeled
    targets: Floats | None = None
    annotations: Ints | None = None


@dataclass(frozen=True)
class Money:
    """What one answer on each pool sample costs (N,), what a query may cost, and how ``top`` then chooses."""

    costs: Floats
    budget: float
    rule: str
