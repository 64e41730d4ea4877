"""Files of a round's run: the round's own, tables that MLflow's pages show, and figures."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np

from al_plugin import layout, store, witness
from al_plugin.tracking import tables
from al_plugin.tracking.record import Record

FORGETTING_TABLE = "dynamics/forgetting.json"
QUERY_TABLE = "query/query.json"
ENVIRONMENT = "environment.json"
_WHOLE = (layout.FORGETTING, layout.QUERY, layout.VALIDATION, layout.PARAMS, layout.DVC_LOCK)


def log(record: Record) -> tuple[str, ...]:
    """Log them all to the active run, replacing what is there; the paths of the tables."""
    made = dict(_made(record))
    whole = [path for path in _WHOLE if (record.root / path).is_file()]
    parts = sorted((record.root / layout.SCORES).glob("*.parquet"))
    whole += [part.relative_to(record.root).as_posix() for part in parts]
    with tempfile.TemporaryDirectory(prefix="al-track-") as folder:
        for path in (*whole, *made):
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path in made:
                target.write_bytes(made[path])
            else:
                target.symlink_to((record.root / path).resolve())
        mlflow.log_artifacts(folder)
    return tuple(path for path in (FORGETTING_TABLE, QUERY_TABLE) if path in made)


def _made(record: Record) -> Iterator[tuple[str, bytes]]:
    """Contents by path; what a round without a model does not have is left out."""
    # A third of a second, and rounds that were told before do without.
    from al_plugin.tracking import figures

    head = f"{record.campaign} {record.short}"
    query = tables.query_table(store.read_bytes(record.root / layout.QUERY, "run dvc repro"))
    yield QUERY_TABLE, tables.split_json(query).encode()
    where = witness.environment_of(record.root, record.number, record.digests)
    if where is not None:
        yield ENVIRONMENT, f"{json.dumps(where, indent=1, sort_keys=True, ensure_ascii=False)}\n".encode()
    if record.labels and record.per_class:
        yield "figures/classes.png", figures.class_balance(record.per_class, f"{head}: labels by class")
    if record.epochs:
        yield "figures/training.png", figures.training_curve(record.epochs, f"{head}: training")
    forgetting = tables.read_forgetting(record.root)
    if forgetting.num_rows:
        yield FORGETTING_TABLE, tables.split_json(tables.most_forgotten(forgetting)).encode()
        events, never = (forgetting.column(name).to_numpy() for name in ("forgetting_events", "never_learned"))
        yield "figures/forgetting.png", figures.forgetting_histogram(events, never, f"{head}: forgetting")
    scores = tables.read_scores(record.root).column("score")
    if scores.null_count == 0 and len(scores):
        asked = np.array([score for score in query.column("score").to_pylist() if score is not None], dtype=np.float64)
        yield "figures/scores.png", figures.score_histogram(scores.to_numpy(), asked, f"{head}: scores")
