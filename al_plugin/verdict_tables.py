"""Tables of a past round, from the DVC cache, as the few numbers the verdict needs."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from al_plugin import campaign, history, layout, store
from al_plugin.axes import Floats, Ints
from al_plugin.data.arrow import numbers
from al_plugin.data.queries import QueryRow
from al_plugin.foreign import parsed
from al_plugin.history import PastRound
from al_plugin.math import lure, ridge, stopping
from al_plugin.rounds.select import strategy_of
from al_plugin.settings import Params

# A companion's posterior is a square of this.
_WIDEST = 2048


def read(
    past: PastRound, before: PastRound | None, query: Sequence[QueryRow], classes: Sequence[str]
) -> dict[str, Any]:
    """Fields of ``verdict._Seen`` as JSON values, from the tables of a round and of the one before."""
    now = _scores(past)
    labeled = columns(history.read_output(past, layout.LABELED), ("sample_id",))
    if now is None or labeled is None:
        return {"missing": f"scores or labels of round {past.number} are not in this machine's DVC cache"}
    if now.column("predicted").null_count:
        return {}  # no model yet
    trained = set(labeled[0])
    ids = now.column("sample_id").combine_chunks()
    free = _outside(ids, trained)
    found: dict[str, Any] = {}
    if free.any():
        confidence = numbers(now.column("confidence"))[free]
        found["uncertainty"] = stopping.uncertainty_bound(confidence, len(classes))
    earlier = None if before is None else _scores(before)
    if before is not None and earlier is None:
        found["missing"] = f"scores of round {before.number} are not in this machine's DVC cache"
    if earlier is not None and not earlier.column("predicted").null_count:
        old, new = _on_same(earlier, now, free)
        if len(old):
            found["kappa"] = stopping.kappa(old, new)
            found["f_change"] = stopping.f_change(old, new)
            found["changed"] = stopping.changed_share(old, new)
    found["even"] = _select(past).get("budget") is None
    where = _positions(ids, [row.sample_id for row in query])
    predicted = now.column("predicted").combine_chunks()
    asked = zip(query, where, strict=True)
    found["predicted"] = {
        row.sample_id: predicted[at].as_py() for row, at in asked if at >= 0 and row.sample_id not in trained
    }
    return found | _draw(past, now, free, query, trained)


def stability(past: PastRound, before: PastRound, params: Params) -> float | None:
    """Ishibashi & Hino's bound for the step from one round's labels to the next, for a ridge companion.

    The features are those of the pool as it is now, which is to be the round's. None where a table is not
    cached, one of the two has no labels, or the features are too many.
    """
    tables = [columns(history.read_output(one, layout.LABELED), ("sample_id", "label")) for one in (before, past)]
    pool, classes = campaign.read_pool(params), params.campaign.classes
    if pool.features.shape[1] > _WIDEST:
        return None
    inputs = ridge.standardised(pool.features)
    index = {name: code for code, name in enumerate(classes)}
    posteriors = []
    for table in tables:
        if table is None or not table[0] or not set(table[1]) <= index.keys():
            return None
        codes = np.array([index[label] for label in table[1]])
        posteriors.append(ridge.posterior(inputs[pool.positions(table[0])], codes, len(classes)))
    first, second = posteriors
    return stopping.stability_bound(ridge.divergence(first, second), ridge.divergence(second, first))


def columns(content: bytes | None, names: Sequence[str]) -> list[list[Any]] | None:
    """Columns of a parquet file as lists, or None without content; DataError where it is none."""
    if content is None:
        return None
    table = _table(content, list(names))
    return [table.column(name).to_pylist() for name in names]


def _table(content: bytes, names: list[str] | None = None) -> pa.Table:
    change = "delete it there and run dvc fetch --all-commits"
    return store.table_of(content, "a damaged table in this machine's DVC cache", change, columns=names)


def _scores(past: PastRound) -> pa.Table | None:
    """The round's scores over the whole pool."""
    parts = history.read_folder(past, layout.SCORES, ".parquet")
    if not parts:
        return None
    return pa.concat_tables(_table(content) for content in parts.values())


def _outside(ids: pa.Array, others: set[str]) -> np.ndarray:
    """Which ids are not among the others, (N,)."""
    import pyarrow.compute as pc

    inside = pc.is_in(ids, value_set=pa.array(sorted(others), type=ids.type))
    return ~np.asarray(inside.to_numpy(zero_copy_only=False), dtype=np.bool_)


def _positions(ids: pa.Array, wanted: Sequence[str]) -> Ints:
    """Position of each wanted id, -1 where it is not there, (W,)."""
    import pyarrow.compute as pc

    found = pc.index_in(pa.array(wanted, type=ids.type), value_set=ids)
    return np.array([-1 if at is None else at for at in found.to_pylist()], dtype=np.int64)


def _on_same(before: pa.Table, now: pa.Table, free: np.ndarray) -> tuple[Ints, Ints]:
    """Predicted classes of both models on the samples that are unlabelled now and were in both pools."""
    ids, old_ids = (table.column("sample_id").combine_chunks() for table in (now, before))
    new, old = (table.column("predicted").combine_chunks() for table in (now, before))
    codes = np.asarray(pa.concat_arrays([old, new]).dictionary_encode().indices.to_numpy(), dtype=np.int64)
    old_codes, new_codes = codes[: len(old)], codes[len(old) :]
    rows = np.flatnonzero(free)
    if ids.equals(old_ids):  # the pool has not changed
        return old_codes[rows], new_codes[rows]
    index = {sample: at for at, sample in enumerate(old_ids.to_pylist())}
    names = ids.to_pylist()
    pairs = [(index[names[row]], row) for row in rows if names[row] in index]
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return old_codes[both[:, 0]], new_codes[both[:, 1]]


def _draw(
    past: PastRound, now: pa.Table, free: np.ndarray, query: Sequence[QueryRow], trained: set[str]
) -> dict[str, Any]:
    """Samples of the query in the order of their draw with their probabilities, where the strategy drew."""
    chosen = [row for row in query if row.kind == "query"]
    if not chosen or now.column("score").null_count:
        return {}
    name, told_budget = strategy_of(chosen[0]), _select(past).get("budget")
    scores = numbers(now.column("score")).astype(np.float64)
    beta = _beta(past, name)
    if lure.log_weights(name, scores[:1], beta) is None:
        return {}
    candidates = np.flatnonzero(free & _not_pending(past, now) & _not_of_evaluation(past, now) & ~np.isneginf(scores))
    told = re.search(r" of (\d+) candidates; ", chosen[0].reason)
    why_not = {
        "under select.budget a row's chance depends on what others cost": told_budget is not None,
        "the query asked labelled samples again": any(row.sample_id in trained for row in query),
        f"the candidates of round {past.number} cannot be rebuilt (released samples?)": told is None
        or int(told.group(1)) != len(candidates),
    }
    if any(why_not.values()):
        return {"unknown_draw": next(why for why, holds in why_not.items() if holds)}
    drawn = [row for row in query if row.kind == "random"]
    ids = now.column("sample_id").combine_chunks()
    even, rest = (_positions(ids, [row.sample_id for row in rows]) for rows in (drawn, chosen))
    left = candidates[~np.isin(candidates, even)]
    weights = lure.log_weights(name, scores[left], beta)
    if weights is None or not np.isfinite(weights).all():
        return {"unknown_draw": f"{name} gives some candidates no chance (scores of 0 or less)"}
    places = {int(position): place for place, position in enumerate(left)}
    chances: Floats = lure.sequential_probabilities(weights, np.array([places[int(at)] for at in rest]))
    return {
        "drawn": [row.sample_id for row in (*drawn, *chosen)],
        "chances": [*(1.0 / (len(candidates) - m) for m in range(len(drawn))), *map(float, chances)],
        "drawn_from": len(candidates),
    }


def _not_pending(past: PastRound, now: pa.Table) -> np.ndarray:
    """Which pool samples were not asked and unanswered, (N,)."""
    asked = columns(history.read_output(past, layout.ASKED), ("sample_id",))
    return _outside(now.column("sample_id").combine_chunks(), set(asked[0]) if asked else set())


def _not_of_evaluation(past: PastRound, now: pa.Table) -> np.ndarray:
    """Which pool samples the evaluation set does not hold too, (N,): the others are never asked."""
    found = parsed(history.read_output(past, layout.EVAL_COPIES) or b"{}")
    return _outside(now.column("sample_id").combine_chunks(), set(found.get("sample_ids", ())))


def _beta(past: PastRound, strategy: str) -> float:
    knobs = _select(past).get(strategy) or {}
    return float(knobs.get("beta", 1.0))


def _select(past: PastRound) -> dict[str, Any]:
    """Section select of the params that the round was computed with."""
    params = past.lock["stages"]["select"].get("params", {}).get(layout.PARAMS, {})
    return params.get("select") or {}
