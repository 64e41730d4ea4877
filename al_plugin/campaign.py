"""Inputs of the stages, read from the files of a campaign."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from al_plugin import layout, store
from al_plugin.axes import Floats, Ints
from al_plugin.data.arrow import numbers
from al_plugin.data.pool import Pool, column_of_ids, features_of, labels_of, pool_of, refuse_overlap
from al_plugin.data.sets import Evaluation, Inputs, Labeled, Model, Scoreboard
from al_plugin.errors import DataError
from al_plugin.math.sampling import id_hashes, keyed_order, mixed_keys
from al_plugin.signals import SIGNALS

_ADD_POOL = "put parquet files with sample_id and features into data/pool and track them: dvc add data/pool"
_ADD_EVAL = "put parquet files with sample_id, features and label into data/eval: dvc add data/eval"
_ADD_TARGETS = "put parquet files with sample_id and features there, or set score.target to data/pool"
_REPRO = "run dvc repro"


@dataclass(frozen=True)
class Targets:
    """Where target inputs are drawn from: ``n`` samples of ``folder``, by ``seed``."""

    folder: str
    n: int
    seed: int


def read_pool() -> Pool:
    """The whole pool."""
    return pool_of(store.read_parts(layout.POOL, _ADD_POOL))


def read_pool_ids() -> set[str]:
    """Ids of the pool alone, without features."""
    paths = sorted(Path(layout.POOL).glob("*.parquet"))
    if not paths:
        raise DataError(f"{layout.POOL} holds no parquet file", change=_ADD_POOL)
    found: set[str] = set()
    for path in paths:
        names = pq.read_schema(path).names
        table = store.read_table(path, _ADD_POOL, columns=[name for name in names if name == "sample_id"])
        found.update(column_of_ids(table, f"pool part {path.stem}"))
    return found


def read_labeled(classes: tuple[str, ...]) -> Labeled:
    """The merged labelled set."""
    table = store.read_table(layout.LABELED, _REPRO)
    return Labeled(table.column("sample_id").to_pylist(), labels_of(table, classes, layout.LABELED))


def read_evaluation(classes: tuple[str, ...], pool: Pool) -> Evaluation:
    """The evaluation set; DataError if it shares a sample with the pool."""
    parts = store.read_parts(layout.EVAL, _ADD_EVAL)
    table = pa.concat_tables(parts.values())
    refuse_overlap(pool.ids, column_of_ids(table, layout.EVAL))
    if table.num_rows == 0:
        raise DataError(f"{layout.EVAL} is empty", change=_ADD_EVAL)
    return Evaluation(features_of(table, layout.EVAL), labels_of(table, classes, layout.EVAL))


def read_round() -> int:
    """Number of label rounds that the merged labels come from."""
    return int(store.read_json(layout.LABEL_METRICS, _REPRO)["round"])


def read_card() -> dict[str, Any]:
    """The model card."""
    return store.read_json(layout.CARD, _REPRO)


def read_weights() -> dict[str, np.ndarray]:
    """The model's tensors by name, empty in round 0."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        weights: dict[str, np.ndarray] = load(store.read_bytes(layout.WEIGHTS, _REPRO))
    except SafetensorError as error:
        raise DataError(f"{layout.WEIGHTS} is not a safetensors file ({error})", change=_REPRO) from error
    return weights


def read_model() -> Model:
    """Card, weights, and the signals over the pool that training recorded."""
    return Model(read_card(), read_weights(), signals_of(store.read_table(layout.POOL_DYNAMICS, _REPRO)))


def signals_of(table: pa.Table) -> dict[str, Floats]:
    """The signals (N,) that training recorded over the pool, by name."""
    names = [name for name in table.column_names if name in SIGNALS]
    columns = {name: table.column(name) for name in names if table.num_rows and not table.column(name).null_count}
    return {name: numbers(column) for name, column in columns.items()}


def read_inputs(named: Collection[str], classes: tuple[str, ...], labeled: Labeled, targets: Targets) -> Inputs:
    """Pool and labelled set, with the target inputs and the annotations where a strategy names them."""
    pool = read_pool()
    at = read_targets(targets, pool) if "target_mc_log_probs" in named else None
    return Inputs(pool, labeled, at, read_annotations(classes, pool) if "annotations" in named else None)


def read_targets(asked: Targets, pool: Pool) -> Floats:
    """Features (M, width) of samples that stand for what the model will meet, drawn by id and seed."""
    targets = pool if asked.folder == layout.POOL else pool_of(store.read_parts(asked.folder, _ADD_TARGETS))
    if targets.features.shape[1] != pool.features.shape[1]:
        raise DataError(
            f"the target inputs in {asked.folder} have {targets.features.shape[1]} features, "
            f"the pool {pool.features.shape[1]}",
            change="give both the same features",
        )
    keys = mixed_keys(id_hashes(targets.ids), asked.seed)
    return targets.features[keyed_order(keys, targets.ids)[: asked.n]]


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
    scores = table.column("score")
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
    board = Scoreboard(
        ids=column_of_ids(table, layout.SCORES),
        scores=None if scores.null_count else numbers(scores),
        predicted=table.column("predicted").to_pylist(),
        confidence=table.column("confidence").to_pylist(),
    )
    return board, signals
