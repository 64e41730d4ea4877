"""What an evaluation shows, with intervals: shares, confusions, calibration, the change between two models."""

from dataclasses import dataclass

import numpy as np

from al_plugin.axes import Floats, FloatsN, Ints, IntsN
from al_plugin.math.intervals import Z95, wilson


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval, and what it was counted from."""

    value: float | None
    low: float
    high: float
    hits: int
    total: int


def share(hits: int, total: int) -> Share:
    """``hits`` of ``total`` with Wilson's score interval (1927); of nothing: no value, interval [0, 1]."""
    if total == 0:
        return Share(None, 0.0, 1.0, 0, 0)
    found = wilson(hits, total)
    # A proportion's interval has both ends.
    return Share(found.value, found.low or 0.0, 1.0 if found.high is None else found.high, hits, total)


def confusion(actual: IntsN, predicted: IntsN, classes: int) -> Ints:
    """Counts (C, C): row the actual class, column the predicted one."""
    counts = np.bincount(actual * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def recalls(counts: Ints) -> list[Share]:
    """Share of each actual class that was predicted as such."""
    return [share(int(counts[c, c]), int(counts[c].sum())) for c in range(len(counts))]


def precisions(counts: Ints) -> list[Share]:
    """Share of each predicted class that is such."""
    return [share(int(counts[c, c]), int(counts[:, c].sum())) for c in range(len(counts))]


@dataclass(frozen=True)
class Bin:
    """Predictions of similar confidence: mean confidence and share that is correct."""

    low: float
    high: float
    confidence: float
    correct: Share


def reliability(confidence: FloatsN, correct: IntsN, bins: int = 10) -> list[Bin]:
    """Equal-width bins of confidence that hold a prediction (Guo et al. 2017); the last one includes 1."""
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        Bin(
            b / bins,
            (b + 1) / bins,
            float(confidence[which == b].mean()),
            share(int(correct[which == b].sum()), int((which == b).sum())),
        )
        for b in range(bins)
        if (which == b).any()
    ]


@dataclass(frozen=True)
class Change:
    """Difference of two accuracies on the same samples with its 95 % interval.

    ``gained``: samples now right that were wrong, ``lost``: the other way round.
    """

    difference: float
    low: float
    high: float
    gained: int
    lost: int


def change(before: IntsN, after: IntsN) -> Change:
    """From correctness (0 or 1) of the same samples (M,) before and after.

    Wald's interval for paired shares with half a sample added to each of the four cells (Agresti & Min 2005),
    so that it does not collapse where no sample changed. The difference itself is the plain one.
    """
    total = len(before)
    gained = int(((after == 1) & (before == 0)).sum())
    lost = int(((after == 0) & (before == 1)).sum())
    more, fewer, size = gained + 0.5, lost + 0.5, total + 2
    middle = (more - fewer) / size
    half = Z95 * np.sqrt(more + fewer - (more - fewer) ** 2 / size) / size
    return Change((gained - lost) / total, float(max(middle - half, -1)), float(min(middle + half, 1)), gained, lost)


def spread_of(values: Floats) -> tuple[float, float, float]:
    """Mean and the range that holds the middle 95 % of repeated draws."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(values.mean()), float(low), float(high)
