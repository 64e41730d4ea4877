"""Inputs of the stages, read from the files of a campaign."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from al_plugin import layout, store, targets
from al_plugin.axes import Ints
from al_plugin.data import answers
from al_plugin.data.arrow import numbers
from al_plugin.data.forms.part import Part, Settings
from al_plugin.data.pool import Pool, column_of_ids, labels_of, pool_of, refuse_overlap
from al_plugin.data.sets import Evaluation, Inputs, Labeled, Model, Money, Scoreboard
from al_plugin.errors import DataError
from al_plugin.math.sampling import id_hashes, keyed_order, mixed_keys
from al_plugin.parts import embedded, read_parts
from al_plugin.schemas import schema
from al_plugin.settings import Params, Select
from al_plugin.signals import SIGNALS

_ADD_POOL = "put parquet files with sample_id and features into data/pool and track them: dvc add data/pool"
_ADD_EVAL = "put parquet files with sample_id, features and label into data/eval: dvc add data/eval"
_ADD_TARGETS = "put parquet files with sample_id and features there, or set score.target to data/pool"
_REPRO = "run dvc repro"
# Columns of the pool that a sheet for people has already, or must not have: they would come back as an answer's.
HIDDEN = (*answers.COLUMNS, "sha256")


@dataclass(frozen=True)
class Targets:
    """Where target inputs are drawn from: ``n`` samples of ``folder``, by ``seed``."""

    folder: str
    n: int
    seed: int


def read_pool(params: Params) -> Pool:
    """The whole pool, as numbers."""
    return pool_in(parts_in(layout.POOL, "pool part", _ADD_POOL, params), params)


def pool_in(parts: Mapping[str, Part], params: Params) -> Pool:
    """The pool that these parts are, as numbers."""
    return pool_of(parts, Settings(image_size=params.data.image_size, text_features=params.data.text_features))


def parts_in(folder: str, what: str, made_by: str, params: Params) -> dict[str, Part]:
    """The parts of a folder by name, through the frozen encoder where there is one; ``what`` names them in messages."""
    parts = read_parts(folder, what, made_by)
    name, threads = params.data.encoder, params.campaign.threads
    return parts if name is None else {key: embedded(part, name, threads) for key, part in parts.items()}


def read_pool_ids() -> set[str]:
    """Ids of the pool alone, without features."""
    paths = sorted(Path(layout.POOL).glob("*.parquet"))
    if not paths:
        raise DataError(f"{layout.POOL} holds no parquet file", change=_ADD_POOL)
    found: set[str] = set()
    for path in paths:
        names = store.column_names(path, _ADD_POOL)
        table = store.read_table(path, _ADD_POOL, columns=[name for name in names if name == "sample_id"])
        found.update(column_of_ids(table, f"pool part {path.stem}"))
    return found


def read_costs() -> dict[str, float]:
    """Cost of one answer by sample, from the pool's optional column ``cost``; DataError unless finite and above 0."""
    found: dict[str, float] = {}
    for path in sorted(Path(layout.POOL).glob("*.parquet")):
        if "cost" in store.column_names(path, _ADD_POOL):
            table = store.read_table(path, _ADD_POOL, columns=["sample_id", "cost"])
            rows = zip(column_of_ids(table, f"pool part {path.stem}"), table.column("cost").to_pylist(), strict=True)
            found |= {sample: cost for sample, cost in rows if cost is not None}
    bad = [sample for sample, cost in found.items() if not isinstance(cost, int | float) or not 0 < cost < np.inf]
    if bad:
        raise DataError(f"{len(bad)} costs in the pool are not positive numbers, first of {bad[0]}", change="mend them")
    return found


def read_money(ids: np.ndarray, asked: Select) -> Money | None:
    """What a query may cost, with the cost of every pool sample; None without a budget."""
    if asked.budget is None:
        return None
    known = read_costs()
    missing = [sample for sample in ids if sample not in known]
    if missing:
        raise DataError(
            f"select.budget is {asked.budget:g}, but {len(missing)} pool samples have no cost, first {missing[0]}",
            change="add a column cost to every pool part, or set select.budget to null",
        )
    return Money(np.array([known[sample] for sample in ids], dtype=np.float64), asked.budget, asked.budget_rule)


def read_shown(sample_ids: Sequence[str]) -> list[dict[str, str]]:
    """What people see of samples when they label: every column of text or single numbers, as text."""
    wanted = set(sample_ids)
    found: dict[str, dict[str, str]] = {}
    for path in sorted(Path(layout.POOL).glob("*.parquet")):
        kinds = store.column_names(path, _ADD_POOL)
        names = [name for name, kind in kinds.items() if _plain(kind) and name not in HIDDEN]
        table = store.read_table(path, _ADD_POOL, columns=["sample_id", *names])
        ids = column_of_ids(table, f"pool part {path.stem}")
        for row in (position for position, sample_id in enumerate(ids) if sample_id in wanted):
            cells = ((name, table.column(name)[row].as_py()) for name in names)
            found[ids[row]] = {name: "" if value is None else str(value) for name, value in cells}
    columns = list(dict.fromkeys(name for cells in found.values() for name in cells))
    return [{name: found.get(sample_id, {}).get(name, "") for name in columns} for sample_id in sample_ids]


def _plain(kind: pa.DataType) -> bool:
    return not pa.types.is_nested(kind) and not pa.types.is_binary(kind) and not pa.types.is_large_binary(kind)


def read_labeled(classes: tuple[str, ...], task: str = targets.CLASSES) -> Labeled:
    """The merged labelled set."""
    table = store.read_table(layout.LABELED, _REPRO)
    return Labeled(table.column("sample_id").to_pylist(), labels_of(table, classes, layout.LABELED, task))


def read_evaluation(params: Params, pool: Pool) -> Evaluation:
    """The evaluation set, made numbers as the pool is; DataError if it shares a sample with the pool."""
    parts, shared = parts_in(layout.EVAL, "evaluation part", _ADD_EVAL, params), params.campaign
    return evaluation_in(parts, shared.classes, pool, shared.task)


def evaluation_in(
    parts: Mapping[str, Part], classes: tuple[str, ...], pool: Pool, task: str = targets.CLASSES
) -> Evaluation:
    """The evaluation set that these parts are; DataError if it is empty or shares a sample with the pool."""
    for part in parts.values():
        refuse_overlap(pool.ids, column_of_ids(part.table, part.where))
    features = np.concatenate([pool.encoded(part) for part in parts.values()])
    labels = np.concatenate([labels_of(part.table, classes, part.where, task) for part in parts.values()])
    if len(labels) == 0:
        raise DataError("the evaluation set is empty", change=_ADD_EVAL)
    return Evaluation(features, labels)


def write_eval_copies(copies: dict[str, Any]) -> None:
    """Keep them for select, and say so where there are any."""
    if copies["found"]:
        kept = "never asked" if copies["sample_ids"] else "too many to be accidents, asked like others"
        print(f"train: {copies['found']} samples of the pool are (nearly) in data/eval: {kept}")
    store.write_json(layout.EVAL_COPIES, copies)


def read_copies() -> tuple[set[str], list[list[str]]]:
    """Ids of pool samples that the evaluation set holds too, and groups of those that are one another's copies."""
    found = store.read_json(layout.EVAL_COPIES, _REPRO)
    return set(found["sample_ids"]), found.get("within", [])


def read_round() -> int:
    """Number of label rounds that the merged labels come from."""
    return int(store.read_json(layout.LABEL_METRICS, _REPRO)["round"])


def read_card() -> dict[str, Any]:
    """The model card."""
    return store.read_json(layout.CARD, _REPRO)


def read_weights() -> dict[str, np.ndarray]:
    """The model's tensors by name, empty in round 0."""
    return store.read_tensors(layout.WEIGHTS, _REPRO)


def write_weights(weights: Mapping[str, np.ndarray]) -> None:
    """Write the model's tensors, with the form they are in."""
    from safetensors.numpy import save

    store.write_bytes(layout.WEIGHTS, save(dict(weights), {"al.schema": schema("weights")}))


def read_model() -> Model:
    """Card, weights, and the signals over the pool that training recorded."""
    return Model(read_card(), read_weights(), signals_of(store.read_table(layout.POOL_DYNAMICS, _REPRO)))


def signals_of(table: pa.Table) -> dict[str, np.ndarray]:
    """The signals (N,) that training recorded over the pool, by name."""
    names = [name for name in table.column_names if name in SIGNALS]
    columns = {name: table.column(name) for name in names if table.num_rows and not table.column(name).null_count}
    return {name: numbers(column) for name, column in columns.items()}


def read_inputs(named: Collection[str], params: Params, labeled: Labeled, targets: Targets) -> Inputs:
    """Pool and labelled set, with the target inputs and the annotations where a strategy names them."""
    pool = read_pool(params)
    at = read_targets(targets, pool, params) if "target_mc_log_probs" in named else None
    return Inputs(
        pool, labeled, at, read_annotations(params.campaign.classes, pool) if "annotations" in named else None
    )


def read_targets(asked: Targets, pool: Pool, params: Params) -> np.ndarray:
    """Samples (M, width) that stand for what the model will meet, drawn by id and seed."""
    ids, features = pool.ids, pool.features
    if asked.folder != layout.POOL:
        parts = parts_in(asked.folder, "target part", _ADD_TARGETS, params)
        ids = np.concatenate([column_of_ids(part.table, part.where) for part in parts.values()])
        features = np.concatenate([pool.encoded(part) for part in parts.values()])
    keys = mixed_keys(id_hashes(ids), asked.seed)
    return features[keyed_order(keys, ids)[: asked.n]]


def read_annotations(classes: tuple[str, ...], pool: Pool) -> Ints:
    """Class index of each annotator's last vote on each pool sample (N, A), -1 for none; A in name order."""
    table = store.read_table(layout.VOTES, _REPRO)
    annotators = table.column("annotator").to_pylist()
    names = {name: position for position, name in enumerate(sorted(set(annotators)))}
    found = np.full((len(pool), len(names)), -1, dtype=np.int32)
    rows = pool.positions(table.column("sample_id").to_pylist())
    found[rows, [names[name] for name in annotators]] = labels_of(table, classes, layout.VOTES)
    return found


def read_scoreboard() -> tuple[Scoreboard, dict[str, np.ndarray]]:
    """Scores of all parts in pool order, and the stored signals."""
    parts = store.read_parts(layout.SCORES, _REPRO)
    table = pa.concat_tables(parts.values())
    names = sorted({path.stem for part in parts for path in Path(layout.SCORES, part).glob("*.npy")})
    signals = {
        name: np.concatenate(
            [store.read_array(Path(layout.SCORES, part, f"{name}.npy"), _REPRO) for part in parts],
            axis=SIGNALS[name].axes.split().index("N"),
        )
        for name in names
    }
    shared = sorted(Path(layout.SCORES).glob("*.npy"))
    signals |= {path.stem: store.read_array(path, _REPRO) for path in shared}
    return board_of(table, column_of_ids(table, layout.SCORES)), signals


def board_of(table: pa.Table, ids: np.ndarray) -> Scoreboard:
    """The scoreboard that a table of scores is, of the samples ``ids`` (N,)."""
    scores = table.column("score")
    return Scoreboard(
        ids=ids,
        scores=None if scores.null_count else numbers(scores),
        predicted=table.column("predicted").to_pylist(),
        confidence=table.column("confidence").to_pylist(),
    )
