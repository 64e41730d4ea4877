"""The sets a round works on, as arrays: labelled, evaluation, scored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from al_plugin.axes import Floats, Ints


@dataclass(frozen=True)
class Labeled:
    """The labelled set: ids in the order of the merged table, class indices (L,)."""

    sample_ids: list[str]
    labels: Ints

    def per_class(self, classes: int) -> list[int]:
        """Number of labels of each class."""
        return [int(count) for count in np.bincount(self.labels, minlength=classes)]


@dataclass(frozen=True)
class Evaluation:
    """The evaluation set: features (M, width) and class indices (M,)."""

    features: Floats
    labels: Ints


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
