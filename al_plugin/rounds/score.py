"""Score: the signals the chosen strategies need, and one score per pool sample."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from al_plugin import targets
from al_plugin.axes import Floats
from al_plugin.data.arrow import null_column, number_column, string_column
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Inputs, Model
from al_plugin.errors import SignalError
from al_plugin.math.bins import bin_range
from al_plugin.models.outputs import task_of
from al_plugin.rounds.drift import drift
from al_plugin.rounds.provide import Posterior, Sampling, provide
from al_plugin.schemas import schema
from al_plugin.signals import PREDICTED, SAMPLES, SIGNALS, check_signal, read_only, take_samples
from al_plugin.strategies.registry import Strategy

SCORES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("score", pa.float64()),
        ("predicted", pa.string()),
        ("confidence", pa.float32()),
    ],
    metadata={"al.schema": schema("scores")},
)


# Rows per block of posterior samples; a multiple of the batch grid of models.forward.
_BLOCK = 8192
_BINS = 40
_OF_LABELED = {"labeled_log_probs", "labeled_embeddings"}


@dataclass(frozen=True)
class Scored:
    """The outputs of score: a table and the stored signals by pool part, signals without axis N, metrics, histogram."""

    tables: Mapping[str, pa.Table]
    signals: Mapping[str, Mapping[str, np.ndarray]]
    shared: Mapping[str, np.ndarray]
    metrics: dict[str, Any]
    histogram: Mapping[str, list[float]]


def score(
    model: Model,
    inputs: Inputs,
    sampling: Sampling,
    score_strategy: Strategy,
    select_strategy: Strategy,
    knobs: Mapping[str, Any],
) -> Scored:
    """Score every pool row, labelled ones included, in pool order.

    Exactly the signals that the two strategies name are computed; those that select needs are
    returned to be stored. Without a fitted model, scores that need one are null.
    """
    pool, kept = inputs.pool, _bases(select_strategy)
    provided = provide(_bases(score_strategy) | kept, model, inputs, sampling)
    at_hand = provided.signals
    task = task_of(model.card) if model.card["fitted"] else targets.CLASSES
    predicted_as, samples = PREDICTED[task]
    if provided.posterior is not None and samples in kept:
        at_hand |= provided.posterior(slice(0, len(pool)))
    named = {name for name in score_strategy.signals if name.startswith("labeled_") or name == "labels"}
    if provided.posterior is not None and predicted_as not in at_hand and named & _OF_LABELED:
        at_hand |= _predicted(pool, provided.posterior)
    handed = at_hand | (_of_labeled(named, at_hand, inputs) if named else {})
    values: Floats | None = None
    if provided.posterior is not None and samples in score_strategy.signals:
        values, predicted = _streamed(score_strategy, knobs, handed, pool, provided.posterior)
        at_hand |= predicted
    elif model.card["fitted"] or not score_strategy.model_signals:
        values = run_score(score_strategy, handed, knobs, pool.ids)
    # Keys are made anew by select.
    stored = {name: at_hand[name] for name in sorted(kept - {"sample_keys"}) if name in at_hand}
    said = None if predicted_as not in at_hand else predictions(task, at_hand[predicted_as], model.card["classes"])
    return Scored(
        tables=_tables(pool, values, said),
        signals=_by_part(pool, {name: signal for name, signal in stored.items() if _along(name) is not None}),
        shared={name: signal for name, signal in stored.items() if _along(name) is None},
        metrics=_metrics(values, said, model.card["round"]) | drift(pool, sampling.seed),
        histogram=_histogram(values),
    )


def run_score(
    strategy: Strategy, at_hand: Mapping[str, np.ndarray], knobs: Mapping[str, Any], ids: np.ndarray | None = None
) -> Floats:
    """Call a score strategy on read-only, checked signals and check what it returns: (N,), no NaN."""
    sizes: dict[str, int] = {}
    arguments = [_handed(strategy, name, at_hand, ids, sizes) for name in strategy.signals]
    result = strategy.function(*arguments, **knobs)
    if not isinstance(result, np.ndarray) or not np.issubdtype(result.dtype, np.floating):
        raise SignalError(f"score strategy {strategy.name} returned {type(result).__name__}, not an array of floats")
    check_signal("scores", result, ids, sizes)
    return result.astype(np.float64, copy=False)


def _handed(
    strategy: Strategy,
    name: str,
    at_hand: Mapping[str, np.ndarray],
    ids: np.ndarray | None,
    sizes: dict[str, int],
) -> np.ndarray:
    if name not in at_hand:
        raise SignalError(
            f"{strategy.stage}.strategy {strategy.name} needs {name}, which this round does not have",
            change=f"{name} is: {SIGNALS[name].meaning}",
        )
    check_signal(name, at_hand[name], ids, sizes)
    return read_only(at_hand[name])


def _of_labeled(names: set[str], at_hand: Mapping[str, np.ndarray], inputs: Inputs) -> dict[str, np.ndarray]:
    """The signals of labelled samples: labels, and rows of the pool's signals."""
    positions = inputs.pool.positions(inputs.labeled.sample_ids)
    found: dict[str, np.ndarray] = {"labels": inputs.labeled.labels}
    for name in names - {"labels"}:
        base = name.removeprefix("labeled_")
        if base in at_hand:
            found[name] = take_samples(base, at_hand[base], positions)
    return found


def _streamed(
    strategy: Strategy,
    knobs: Mapping[str, Any],
    at_hand: Mapping[str, np.ndarray],
    pool: Pool,
    posterior: Posterior,
) -> tuple[Floats, dict[str, np.ndarray]]:
    """Scores from posterior samples, block by block of the pool: T x N x C is never held.

    And log_probs and embeddings, where the posterior gives them on its way.
    """
    values, beside = np.empty(len(pool)), _Beside(len(pool))
    for rows in _blocks(pool):
        block = {name: at_hand[name] for name in strategy.signals if name in at_hand}
        block |= {
            name: take_samples(name, signal, np.arange(rows.start, rows.stop))
            for name, signal in block.items()
            if _along(name) is not None
        }
        if not SAMPLES & at_hand.keys():
            block |= beside.kept(rows, posterior(rows))
        values[rows] = run_score(strategy, block, knobs, pool.ids[rows])
    return values, beside.signals


def _predicted(pool: Pool, posterior: Posterior) -> dict[str, np.ndarray]:
    """What the posterior gives beside its samples, of the whole pool."""
    beside = _Beside(len(pool))
    for rows in _blocks(pool):
        beside.kept(rows, posterior(rows))
    return beside.signals


def _blocks(pool: Pool) -> Iterator[slice]:
    for start in range(0, len(pool), _BLOCK):
        yield slice(start, min(start + _BLOCK, len(pool)))


class _Beside:
    """The signals of a posterior along N but its samples, put together from blocks."""

    def __init__(self, rows: int) -> None:
        self.signals: dict[str, np.ndarray] = {}
        self._rows = rows

    def kept(self, rows: slice, block: dict[str, Floats]) -> dict[str, Floats]:
        """The block as it is, its rows noted."""
        for name, values in block.items():
            if name not in SAMPLES:
                if name not in self.signals:
                    self.signals[name] = np.empty((self._rows, *values.shape[1:]), dtype=values.dtype)
                self.signals[name][rows] = values
        return block


def _bases(strategy: Strategy) -> set[str]:
    return {name.removeprefix("labeled_") for name in strategy.signals}


def _along(name: str) -> int | None:
    """Position of axis N of a signal, or None."""
    axes = SIGNALS[name].axes.split()
    return axes.index("N") if "N" in axes else None


def _by_part(pool: Pool, signals: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    split = {name: pool.split(values, axis=_along(name) or 0) for name, values in signals.items()}
    return {part: {name: values[part] for name, values in split.items()} for part in pool.parts}


def predictions(task: str, found: Floats, classes: list[str]) -> tuple[np.ndarray, Floats | None]:
    """What is predicted of each sample, as text (N,), and the probability that it is right (N,), None of numbers.

    Of a set: the labels more likely than not, and the product of their probabilities, as if they were independent.
    """
    if task == targets.REGRESSION:
        return np.array([f"{value:.6g}" for value in found], dtype=object), None
    if task == targets.MULTILABEL:
        texts = targets.of(task, classes).texts(found > 0)
        return np.array(texts, dtype=object), np.exp(-np.logaddexp(0.0, -np.abs(found)).sum(axis=1))
    return np.array(classes, dtype=object)[found.argmax(axis=1)], np.exp(found.max(axis=1))


def _tables(pool: Pool, values: Floats | None, said: tuple[np.ndarray, Floats | None] | None) -> dict[str, pa.Table]:
    predicted, confidence = null_column(pa.string(), len(pool)), null_column(pa.float32(), len(pool))
    if said is not None:
        predicted = string_column(said[0])
        if said[1] is not None:
            confidence = number_column(said[1].astype(np.float32, copy=False))
    table = pa.table(
        [
            string_column(pool.ids),
            null_column(pa.float64(), len(pool)) if values is None else number_column(values),
            predicted,
            confidence,
        ],
        schema=SCORES,
    )
    tables: dict[str, pa.Table] = {}
    start = 0
    for name, rows in pool.parts.items():
        tables[name] = table.slice(start, rows).combine_chunks()
        start += rows
    return tables


def _histogram(values: Floats | None) -> dict[str, list[float]]:
    """Samples by score, in bins of equal width named by their middle; none without a finite score."""
    finite = np.empty(0) if values is None else values[np.isfinite(values)]
    if not len(finite):
        return {"score": [], "samples": []}
    counts, edges = np.histogram(finite, bins=_BINS, range=bin_range(finite, _BINS))
    return {"score": ((edges[:-1] + edges[1:]) / 2).tolist(), "samples": counts.tolist()}


def _metrics(values: Floats | None, said: tuple[np.ndarray, Floats | None] | None, round_number: int) -> dict[str, Any]:
    finite = None if values is None else values[np.isfinite(values)]
    quantiles = (0.0, 0.25, 0.5, 0.75, 1.0)
    summary: dict[str, float | None] = dict.fromkeys(("min", "q25", "median", "q75", "max", "mean"))
    if finite is not None and len(finite):
        summary = dict(
            zip(("min", "q25", "median", "q75", "max"), map(float, np.quantile(finite, quantiles)), strict=True)
        )
        summary["mean"] = float(finite.mean())
    confidence = None if said is None or said[1] is None else float(said[1].mean())
    return {"schema": schema("score_metrics"), "round": round_number, "score": summary, "mean_confidence": confidence}
