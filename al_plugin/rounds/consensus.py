"""Consensus: from the votes on each sample to what it is labelled with, or to a dispute."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from al_plugin import targets
from al_plugin.axes import Floats, Ints
from al_plugin.errors import StrategyError
from al_plugin.signals import read_only
from al_plugin.strategies.registry import Strategy


@dataclass(frozen=True)
class Cast:
    """Votes: the sample (0..S-1), annotator and rank in time of each (V,), and its label as it was written."""

    n_samples: int
    samples: Ints
    annotators: Ints
    order: Ints
    labels: Sequence[str]


@dataclass(frozen=True)
class Agreed:
    """A label in its canonical text, the share of votes that agree with it, or how far numbers spread.

    ``agreement`` of a set is the mean over its labels; None of numbers. ``spread`` is the standard deviation of
    several numbers (n - 1), None of one and where there are none.
    """

    label: str
    agreement: float | None = None
    spread: float | None = None


def agreed(cast: Cast, strategy: Strategy, knobs: Mapping[str, Any], asking: targets.Targets) -> list[Agreed | None]:
    """What the votes on each sample agree on, None where it is disputed.

    Classes: the one of the greatest weight, disputed where two have it. Sets: the same for every label by itself,
    as a vote of yes or no; one undecided label leaves the sample disputed. Numbers: what the strategy says.
    """
    if not cast.labels:
        return []
    found = asking.array(cast.labels)
    if isinstance(asking, targets.Values):
        return _numbers(cast, found, run_merge(strategy, _signals(cast) | {"vote_values": found}, knobs), asking)
    if isinstance(asking, targets.LabelSets):
        return _sets(cast, found, strategy, knobs, asking)
    best = _decided(run_merge(strategy, _signals(cast) | _of_classes(found, asking.outputs), knobs))
    shares = _shares(cast, found == best[cast.samples])
    return [
        None if label < 0 else Agreed(asking.texts(np.array([label]))[0], float(share))
        for label, share in zip(best, shares, strict=True)
    ]


def _sets(
    cast: Cast, found: Floats, strategy: Strategy, knobs: Mapping[str, Any], asking: targets.LabelSets
) -> list[Agreed | None]:
    votes = found.astype(np.int64).T
    best = np.stack([_decided(run_merge(strategy, _signals(cast) | _of_classes(one, 2), knobs)) for one in votes])
    shares = np.stack([_shares(cast, one == own[cast.samples]) for one, own in zip(votes, best, strict=True)])
    return [
        None if row.min() < 0 else Agreed(asking.texts(row[None])[0], float(share))
        for row, share in zip(best.T, shares.mean(axis=0), strict=True)
    ]


def _numbers(cast: Cast, found: Floats, merged: Floats, asking: targets.Values) -> list[Agreed | None]:
    size = cast.n_samples
    votes = np.bincount(cast.samples, minlength=size)
    mean = np.bincount(cast.samples, weights=found, minlength=size) / votes
    squares = np.bincount(cast.samples, weights=(found - mean[cast.samples]) ** 2, minlength=size)
    spread = np.sqrt(squares / np.maximum(votes - 1, 1))
    return [
        Agreed(text, None, float(one) if several else None)
        for text, one, several in zip(asking.texts(merged), spread, votes > 1, strict=True)
    ]


def _signals(cast: Cast) -> dict[str, Any]:
    return {
        "vote_samples": cast.samples,
        "vote_annotators": cast.annotators,
        "vote_order": cast.order,
        "n_samples": cast.n_samples,
    }


def _of_classes(labels: Ints, classes: int) -> dict[str, Any]:
    return {"vote_labels": labels, "n_classes": classes}


def _decided(weights: Floats) -> Ints:
    """Class of the greatest weight of each sample, -1 where two have it, (S,)."""
    best: Ints = weights.argmax(axis=1)
    return np.where((weights == weights.max(axis=1, keepdims=True)).sum(axis=1) > 1, -1, best)


def _shares(cast: Cast, right: np.ndarray) -> Floats:
    """Share of each sample's votes that are right, (S,)."""
    votes = np.bincount(cast.samples, minlength=cast.n_samples)
    return np.bincount(cast.samples, weights=right, minlength=cast.n_samples) / votes


def run_merge(strategy: Strategy, signals: Mapping[str, Any], knobs: Mapping[str, Any]) -> np.ndarray:
    """Call a merge strategy on read-only votes and check what it returns: finite weights (S, C), or numbers (S,)."""
    handed = [read_only(v) if isinstance(v, np.ndarray) else v for v in (signals[name] for name in strategy.signals)]
    found = strategy.function(*handed, **knobs)
    shape: tuple[int, ...] = (signals["n_samples"],)
    if "vote_values" not in strategy.signals:
        shape = (*shape, signals["n_classes"])
    if not isinstance(found, np.ndarray) or found.shape != shape or not np.issubdtype(found.dtype, np.floating):
        form = f"shape {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise StrategyError(f"merge strategy {strategy.name} returned {form}, asked for floats of shape {shape}")
    if not np.isfinite(found).all():
        bad = int((~np.isfinite(found)).reshape(len(found), -1).any(axis=1).sum())
        raise StrategyError(f"merge strategy {strategy.name} returned weights that are not finite for {bad} samples")
    return found
