"""Synthetic signals for the checks, of values whose sums and products are exact.

A signal is made by the function that ``MAKERS`` holds for its name; one that is not listed gets
exact values of the shape that ``signals.SIGNALS`` gives it, so a new signal needs a line here only
where its values have a meaning (probabilities, class indices, keys). ``labeled_x`` is made like ``x``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np

from al_plugin.axes import Ints
from al_plugin.math.sampling import id_hashes, mixed_keys
from al_plugin.signals import SIGNALS

# Length of each axis; one that is not named is FALLBACK long. A is the number of annotators.
SIZES: Mapping[str, int] = {"N": 48, "L": 6, "C": 4, "D": 3, "T": 5, "M": 7, "P": 6, "V": 90, "S": 30, "A": 3}
FALLBACK = 4
Array = np.ndarray
Maker = Callable[[tuple[int, ...], np.random.Generator, Mapping[str, int]], Array]

# Signals whose values are class indices, and those that belong to an id whatever the sample is.
_CLASS_VALUED = frozenset({"labels", "vote_labels", "dropped_labels", "annotations"})
_OF_THE_ID = frozenset({"sample_keys"})


@dataclass(frozen=True)
class Case:
    """One made-up input: ids (N,) and signals by name."""

    ids: Array
    signals: Mapping[str, Any]


def case(names: Iterable[str], *, seed: int = 0, sizes: Mapping[str, int] | None = None) -> Case:
    """Signals ``names`` of the axis lengths ``SIZES``, some replaced by ``sizes``.

    Each signal is drawn from its own generator: asking for one more changes no other.
    """
    lengths = {**SIZES, **(sizes or {})}
    ids = np.array([f"sample-{seed}-{position:05d}" for position in range(lengths["N"])], dtype=object)
    return Case(ids, {name: _made(name, ids, seed, lengths) for name in names})


def reordered(given: Case, rows: Ints) -> Case:
    """The samples ``rows`` with their ids, in that order."""
    return Case(given.ids[rows], {name: _rows(name, values, rows) for name, values in given.signals.items()})


def copied(given: Case, rows: Ints) -> Case:
    """As many samples as before, each with the values of the sample ``rows`` names and its own id."""
    signals = {
        name: values if name in _OF_THE_ID else _rows(name, values, rows) for name, values in given.signals.items()
    }
    return Case(given.ids, signals)


def relabelled(given: Case, order: Ints) -> Case:
    """The same world with renumbered classes: new class c is class ``order[c]`` of before."""
    new_index = np.argsort(order)
    signals = {}
    for name, values in given.signals.items():
        if name in _CLASS_VALUED:
            signals[name] = np.where(values < 0, values, new_index[values])
        elif "C" in axes(name):
            signals[name] = np.take(values, order, axis=axes(name).index("C"))
        else:
            signals[name] = values
    return Case(given.ids, signals)


def cast(given: Case, dtype: type[np.floating[Any]]) -> Case:
    """The same numbers with every array of floats in ``dtype``."""
    return Case(
        given.ids,
        {name: v.astype(dtype) if is_float(v) else v for name, v in given.signals.items()},
    )


def with_signal(given: Case, name: str, values: Any) -> Case:
    """The case with one signal replaced."""
    return replace(given, signals={**given.signals, name: values})


def sure_rows(given: Case, rows: Ints, sure: float = 0.0) -> Case:
    """The case where the predictions of ``rows`` give one class, in turn, the log-probability ``sure``."""
    signals = dict(given.signals)
    for name, values in given.signals.items():
        if "C" in axes(name) and "N" in axes(name) and name.endswith("log_probs"):
            classes = values.shape[-1]
            rest = np.log(-np.expm1(sure) / (classes - 1)) if sure < 0 else -np.inf
            best = np.arange(len(rows)) % classes
            changed = values.astype(np.float64)
            changed[..., rows, :] = np.where(np.arange(classes) == best[:, None], sure, rest)
            signals[name] = changed
    return Case(given.ids, signals)


def axes(name: str) -> list[str]:
    """Axis names of a signal, in order."""
    return SIGNALS[name].axes.split()


def is_float(values: Any) -> bool:
    """True for an array of floats."""
    return isinstance(values, np.ndarray) and np.issubdtype(values.dtype, np.floating)


def _made(name: str, ids: Array, seed: int, lengths: Mapping[str, int]) -> Any:
    if name == "sample_keys":
        return mixed_keys(id_hashes(ids), seed)
    if name in _VOTES:
        return _votes(np.random.default_rng([seed, 0]), lengths)[name]
    shape = tuple(lengths.get(axis, FALLBACK) for axis in axes(name))
    base = name.removeprefix("labeled_")
    maker: Maker = MAKERS.get(base, log_probs if base.endswith("log_probs") else fractions)
    return maker(shape, np.random.default_rng([seed, crc32(name.encode())]), lengths)


def log_probs(shape: tuple[int, ...], rng: np.random.Generator, _: Mapping[str, int]) -> Array:
    """Log-probabilities over the last axis, in float32 as a model gives them."""
    weights = rng.integers(1, 65, size=shape)
    shares: Array = np.log(weights / weights.sum(axis=-1, keepdims=True))
    return shares.astype(np.float32)


def coordinates(shape: tuple[int, ...], rng: np.random.Generator, _: Mapping[str, int]) -> Array:
    """Whole numbers from -8 to 8: their squared distances are exact in every order of summation."""
    return rng.integers(-8, 9, size=shape).astype(np.float32)


def fractions(shape: tuple[int, ...], rng: np.random.Generator, _: Mapping[str, int]) -> Array:
    """Multiples of 1/1024 in [0, 1)."""
    return (rng.integers(0, 1024, size=shape) / 1024).astype(np.float32)


def every_class(shape: tuple[int, ...], rng: np.random.Generator, lengths: Mapping[str, int]) -> Array:
    """Class indices, each class about equally often."""
    return rng.permutation(np.arange(shape[0]) % lengths["C"])


def any_class(shape: tuple[int, ...], rng: np.random.Generator, lengths: Mapping[str, int]) -> Array:
    """Class indices of the last axis, drawn evenly."""
    return rng.integers(lengths["C"], size=shape)


def some_answers(shape: tuple[int, ...], rng: np.random.Generator, lengths: Mapping[str, int]) -> Array:
    """Class indices by annotator for about half of the samples; -1 elsewhere."""
    answers = np.where(rng.random(shape) < 0.6, any_class(shape, rng, lengths), -1)
    answers[rng.permutation(shape[0])[: shape[0] // 2]] = -1
    return answers


def numbers(shape: tuple[int, ...], rng: np.random.Generator, _: Mapping[str, int]) -> Array:
    """Sixteenths from -4 to 4, float64."""
    made: Array = rng.integers(-64, 65, size=shape) / 16
    return made


MAKERS: Mapping[str, Maker] = {
    "label_log_odds": numbers,
    "mc_label_log_odds": numbers,
    "values": numbers,
    "mc_values": numbers,
    "answers": numbers,
    "log_probs": log_probs,
    "embeddings": coordinates,
    "frozen_embeddings": coordinates,
    "head_weight": coordinates,
    "head_bias": coordinates,
    "output_deviations": coordinates,
    "dropped_labels": any_class,
    "annotations": some_answers,
    "labels": every_class,
    "scores": lambda shape, rng, lengths: fractions(shape, rng, lengths).astype(np.float64),
}

_VOTES = ("n_samples", "n_classes", "vote_samples", "vote_labels", "vote_annotators", "vote_order", "vote_values")


def _votes(rng: np.random.Generator, lengths: Mapping[str, int]) -> dict[str, Any]:
    """Votes on samples 0..S-1, each with one at least; ranks in time come in ties."""
    samples, votes = lengths["S"], max(lengths["V"], lengths["S"])
    voted = np.concatenate([np.arange(samples), rng.integers(samples, size=votes - samples)])
    return {
        "n_samples": samples,
        "n_classes": lengths["C"],
        "vote_samples": rng.permutation(voted),
        "vote_labels": rng.integers(lengths["C"], size=votes),
        "vote_annotators": rng.integers(lengths["A"], size=votes),
        "vote_order": rng.integers(8, size=votes),
        "vote_values": rng.integers(-64, 65, size=votes) / 16,
    }


def _rows(name: str, values: Any, rows: Ints) -> Any:
    return np.take(values, rows, axis=axes(name).index("N")) if "N" in axes(name) else values
