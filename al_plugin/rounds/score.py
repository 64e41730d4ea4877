"""Score: the signals the chosen strategies need, and one score per pool sample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from al_plugin.axes import Floats
from al_plugin.data.arrow import null_column, number_column, string_column
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Labeled
from al_plugin.errors import SignalError
from al_plugin.math.sampling import id_hashes, mixed_keys
from al_plugin.models.posterior import Heads, dropout_heads, mc_log_probs
from al_plugin.models.restore import model_signals
from al_plugin.rounds import seeds
from al_plugin.signals import SIGNALS, check_signal, read_only, take_samples
from al_plugin.strategies.registry import Strategy

SCORES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("score", pa.float64()),
        ("predicted", pa.string()),
        ("confidence", pa.float32()),
    ],
    metadata={"al.schema": "scores/1"},
)


# Rows per block of posterior samples; a multiple of the batch grid of models.forward.
_BLOCK = 8192


@dataclass(frozen=True)
class Scored:
    """The outputs of score: a table and the stored signals by pool part, and metrics."""

    tables: Mapping[str, pa.Table]
    signals: Mapping[str, Mapping[str, np.ndarray]]
    metrics: dict[str, Any]


def score(
    pool: Pool,
    card: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
    dispersion: Floats | None,
    labeled: Labeled,
    score_strategy: Strategy,
    select_strategy: Strategy,
    knobs: Mapping[str, Any],
    seed: int,
    passes: int,
) -> Scored:
    """Score every pool row, labelled ones included, in pool order.

    Exactly the signals that the two strategies name are computed; those that select needs are
    returned to be stored. Without a fitted model, scores that need one are null.
    """
    wanted = _bases(score_strategy) | _bases(select_strategy)
    at_hand: dict[str, np.ndarray] = {}
    if card["fitted"]:
        log_probs, embeddings = model_signals(card, weights, pool.features)
        at_hand = {"log_probs": log_probs, "embeddings": embeddings}
        if dispersion is not None:
            at_hand["pool_dispersion"] = dispersion
    if "frozen_embeddings" in wanted:
        at_hand["frozen_embeddings"] = standardised(pool.features)
    if "sample_keys" in wanted:
        at_hand["sample_keys"] = sample_keys(pool, seed, card["round"], "scores")
    if any(name.startswith("labeled_") or name == "labels" for name in score_strategy.signals):
        at_hand |= _of_labeled(score_strategy, at_hand, pool.positions(labeled.sample_ids), labeled)
    values: Floats | None
    if card["fitted"] and "mc_log_probs" in score_strategy.signals:
        heads = dropout_heads(card, weights, passes, seeds.generator(seed, card["round"], "posterior"))
        values = _streamed(score_strategy, knobs, at_hand, pool, heads)
    else:
        values = _scores(score_strategy, knobs, at_hand, pool, fitted=card["fitted"])
    # Keys are made anew by select; what has no axis N is no signal of the pool.
    stored = {
        name: at_hand[name]
        for name in sorted(_bases(select_strategy) - {"sample_keys"})
        if name in at_hand and "N" in SIGNALS[name].axes.split()
    }
    return Scored(
        tables=_tables(pool, values, at_hand.get("log_probs"), card["classes"]),
        signals=_by_part(pool, stored),
        metrics=_metrics(values, at_hand.get("log_probs"), card["round"]),
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


def standardised(features: Floats) -> Floats:
    """Features with mean 0 and deviation 1 over the pool, float32; constant features become 0."""
    wide = features.astype(np.float64)
    deviation = wide.std(axis=0)
    wide -= wide.mean(axis=0)
    wide /= np.where(deviation > 0, deviation, 1.0)
    return wide.astype(np.float32)


def sample_keys(pool: Pool, seed: int, round_number: int, purpose: str) -> np.ndarray:
    """One 64-bit key per sample for this seed, round and purpose."""
    return mixed_keys(id_hashes(pool.ids), seeds.number(seed, round_number, purpose))


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


def _of_labeled(
    strategy: Strategy, at_hand: Mapping[str, np.ndarray], positions: np.ndarray, labeled: Labeled
) -> dict[str, np.ndarray]:
    """The signals of labelled samples that a score strategy names; they are rows of the pool's."""
    found: dict[str, np.ndarray] = {"labels": labeled.labels}
    for name in strategy.signals:
        base = name.removeprefix("labeled_")
        if base != name and base in at_hand:
            found[name] = take_samples(base, at_hand[base], positions)
    return found


def _scores(
    strategy: Strategy, knobs: Mapping[str, Any], at_hand: Mapping[str, np.ndarray], pool: Pool, *, fitted: bool
) -> Floats | None:
    if not fitted and strategy.model_signals:
        return None
    return run_score(strategy, at_hand, knobs, pool.ids)


def _streamed(
    strategy: Strategy,
    knobs: Mapping[str, Any],
    at_hand: Mapping[str, np.ndarray],
    pool: Pool,
    heads: Heads,
) -> Floats:
    """Scores from posterior samples, block by block of the pool: T x N x C is never held."""
    values = np.empty(len(pool))
    for start in range(0, len(pool), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(pool)))
        block = {name: at_hand[name] for name in strategy.signals if name in at_hand}
        block |= {n: take_samples(n, v, rows) for n, v in block.items() if "N" in SIGNALS[n].axes.split()}
        block["mc_log_probs"] = mc_log_probs(at_hand["embeddings"][rows], heads)
        values[rows] = run_score(strategy, block, knobs, pool.ids[rows])
    return values


def _bases(strategy: Strategy) -> set[str]:
    return {name.removeprefix("labeled_") for name in strategy.signals}


def _by_part(pool: Pool, signals: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    split = {name: pool.split(values) for name, values in signals.items()}
    return {part: {name: values[part] for name, values in split.items()} for part in pool.parts}


def _tables(pool: Pool, values: Floats | None, log_probs: Floats | None, classes: list[str]) -> dict[str, pa.Table]:
    predicted, confidence = null_column(pa.string(), len(pool)), null_column(pa.float32(), len(pool))
    if log_probs is not None:
        predicted = string_column(np.array(classes, dtype=object)[log_probs.argmax(axis=1)])
        confidence = number_column(np.exp(log_probs.max(axis=1)))
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


def _metrics(values: Floats | None, log_probs: Floats | None, round_number: int) -> dict[str, Any]:
    finite = None if values is None else values[np.isfinite(values)]
    quantiles = (0.0, 0.25, 0.5, 0.75, 1.0)
    summary: dict[str, float | None] = dict.fromkeys(("min", "q25", "median", "q75", "max", "mean"))
    if finite is not None and len(finite):
        summary = dict(
            zip(("min", "q25", "median", "q75", "max"), map(float, np.quantile(finite, quantiles)), strict=True)
        )
        summary["mean"] = float(finite.mean())
    confidence = None if log_probs is None else float(np.exp(log_probs.max(axis=1)).mean())
    return {"round": round_number, "score": summary, "mean_confidence": confidence}
