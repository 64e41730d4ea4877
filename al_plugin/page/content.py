"""What a page shows: the round as plain values, read by al_plugin.report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from al_plugin.axes import Floats, Ints
from al_plugin.math.bins import bin_range
from al_plugin.math.outcomes import Bin, Change, Share
from al_plugin.rounds.explained import Explanation

# PNG of a sample by its id, or None where there is none.
Thumb = Callable[[str], bytes | None]


@dataclass(frozen=True)
class Point:
    """One round on the learning curve; metrics by name, accuracy with its interval where the sizes are known."""

    round: int
    labels: int
    metrics: Mapping[str, float]
    accuracy: Share | None


@dataclass(frozen=True)
class Evaluated:
    """The model on the evaluation set: counts (C, C), calibration, and the change since the round before."""

    counts: Ints
    accuracy: Share
    bins: Sequence[Bin]
    metrics: Mapping[str, float]
    change: Change | None = None
    previous: int | None = None


@dataclass(frozen=True)
class Scores:
    """Histogram of the scores of the pool, and those of the query; ``never`` counts -inf."""

    edges: Floats
    counts: Ints
    query: Sequence[float]
    never: int


@dataclass(frozen=True)
class Forgetting:
    """Labelled samples by forgetting events, and rows (sample, label, events, first learned) of the hardest."""

    counts: Sequence[int]
    never_learned: int
    most: Sequence[tuple[str, str, int, int]]
    missed: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Annotator:
    """Votes of one annotator, and the share of them on labelled samples of several votes that equal the label."""

    name: str
    votes: int
    agrees: Share


@dataclass(frozen=True)
class Labels:
    """The labelled set: numbers of metrics/labels.json, annotators, refused rows (file, row, reasons)."""

    numbers: Mapping[str, Any]
    annotators: Sequence[Annotator]
    agreement: Sequence[tuple[str, int]]
    refused: Sequence[tuple[str, int, str]]


@dataclass(frozen=True)
class Shown:
    """What a sample looks like to people: its text, and the other columns of its pool part."""

    text: str = ""
    cells: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """Everything on the page of a round. ``metrics`` of the task: the first is drawn, the others stand beside it."""

    campaign: str
    number: int
    classes: tuple[str, ...]
    strategy: str
    next_step: str
    curve: Sequence[Point]
    labels: Labels
    evaluated: Evaluated | None
    scores: Scores | None
    explanation: Explanation
    forgetting: Forgetting | None
    shown: Mapping[str, Shown]
    provenance: Sequence[tuple[str, str]]
    metrics: tuple[str, ...] = ("accuracy", "balanced_accuracy", "nll", "ece")
    verdict: Mapping[str, Any] | None = None
    thumb: Thumb | None = None
    drift: str = ""


def score_histogram(scores: Floats, query: Sequence[float], bins: int = 40) -> Scores:
    """Equal-width bins over the finite scores."""
    finite = scores[np.isfinite(scores)]
    counts, edges = np.histogram(finite, bins=bins, range=bin_range(finite, bins))
    return Scores(edges, counts, [value for value in query if np.isfinite(value)], len(scores) - len(finite))
