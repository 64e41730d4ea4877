"""A campaign's past without training or DVC: committed locks and a DVC cache with the tables of each round."""

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from conftest import CLASSES, commit

from al_plugin import history, layout, store
from al_plugin.data.pool import sample_table
from al_plugin.data.queries import QueryRow, query_ids, to_jsonl


@dataclass(frozen=True)
class Past:
    """What a simulated campaign is like; the first ``of_evaluation`` samples are never asked."""

    rounds: int = 6
    pool: int = 300
    n: int = 20
    random: int = 4
    strategy: str = "top"
    evaluation: int = 200
    cost: bool = False
    of_evaluation: int = 0
    committed: bool = True


def build(root: Path, past: Past) -> None:
    """Write the rounds 0 to ``past.rounds`` into the campaign at ``root``, one commit each."""
    rng = np.random.default_rng(7)
    ids = [f"s-{i:05d}" for i in range(past.pool)]
    truth = np.arange(past.pool) % 3
    features = rng.normal(size=(past.pool, 4))
    for old in (root / layout.POOL).glob("*"):
        old.unlink()
    pool = sample_table(ids, features)
    if past.cost:
        pool = pool.append_column("cost", pa.array(np.arange(past.pool) % 4 + 0.5))
    store.write_table(root / layout.POOL / "part-00000.parquet", pool)
    names = [CLASSES[c] for c in np.arange(past.evaluation) % 3]
    evaluation = sample_table([f"e-{i}" for i in range(past.evaluation)], rng.normal(size=(past.evaluation, 4)), names)
    store.write_table(root / layout.EVAL / "part-00000.parquet", evaluation)
    labeled: list[int] = []
    asked: list[QueryRow] = []
    votes: list[tuple[str, int]] = []
    query: tuple[QueryRow, ...] = ()
    for number in range(past.rounds + 1):
        if number:
            _answer(root, number, query, ids, truth)
            labeled += [int(row.sample_id[2:]) for row in query]
            asked += query
            votes += [(row.sample_id, number) for row in query]
        accuracy = 0.95 - 0.6 * max(number, 1) ** -0.8
        scores, query = _ask(rng, ids, truth, set(labeled), accuracy, number, past)
        metric = round(accuracy * past.evaluation) / past.evaluation if number else None
        tables = {
            layout.LABELED: _parquet(sample_id=[ids[i] for i in labeled], label=[CLASSES[truth[i]] for i in labeled]),
            layout.VOTES: _parquet(sample_id=[s for s, _ in votes], round=[r for _, r in votes]),
            layout.ASKED: _parquet(sample_id=[row.sample_id for row in asked]),
            layout.TRAIN_METRICS: json.dumps({"labels": len(labeled), "eval": {"accuracy": metric}}).encode(),
            layout.QUERY: to_jsonl(query),
            layout.EVAL_COPIES: json.dumps({"sample_ids": ids[: past.of_evaluation]}).encode(),
        }
        write_lock(root, tables, scores, past)
        if past.committed:
            commit(root, f"Round {number}")


def write_lock(root: Path, tables: dict[str, bytes], scores: bytes, past: Past) -> None:
    """Put the round's outputs into the cache and pin them in dvc.lock."""
    folder = root / layout.MANIFESTS
    digests = history.folder_hash(
        {p.relative_to(folder).as_posix(): _md5(p.read_bytes()) for p in folder.rglob("*") if p.is_file()}
    )
    pool = history.folder_hash(history.digests_of(root / layout.POOL))
    part = _cache(root, scores)
    listing = json.dumps([{"md5": part, "relpath": "part-00000.parquet"}]).encode()
    outs = [{"path": path, "md5": _cache(root, content)} for path, content in tables.items()]
    lock = {
        "schema": "2.0",
        "stages": {
            "merge-labels": {"deps": [{"path": layout.MANIFESTS, "md5": digests}], "outs": outs},
            "train": {"deps": [{"path": layout.POOL, "md5": pool}], "outs": []},
            "score": {"outs": [{"path": layout.SCORES, "md5": _cache(root, listing, ".dir")}]},
            "select": {"params": {layout.PARAMS: {"select": {past.strategy: {"beta": 2.0}}}}, "outs": []},
        },
    }
    (root / layout.DVC_LOCK).write_text(yaml.safe_dump(lock))


def _ask(
    rng: np.random.Generator,
    ids: list[str],
    truth: np.ndarray,
    labeled: set[int],
    accuracy: float,
    number: int,
    past: Past,
) -> tuple[bytes, tuple[QueryRow, ...]]:
    """The round's scores, and its query: a random share first, then by score from the rest."""
    right = np.random.default_rng(1).random(len(ids)) < accuracy  # the same samples stay right
    predicted = np.where(right, truth, (truth + 1) % 3)
    confidence = np.where(right, 0.9, 0.6).astype(np.float32)
    scores = 1.0 - confidence.astype(float) + 0.1 * rng.random(len(ids))
    known = number > 0
    table = pa.table(
        {
            "sample_id": ids,
            "score": pa.array(scores) if known else pa.nulls(len(ids), pa.float64()),
            "predicted": pa.array([CLASSES[c] for c in predicted]) if known else pa.nulls(len(ids), pa.string()),
            "confidence": pa.array(confidence) if known else pa.nulls(len(ids), pa.float32()),
        }
    )
    candidates = rng.permutation([i for i in range(past.of_evaluation, len(ids)) if i not in labeled])
    drawn, rest = candidates[: past.random], candidates[past.random :]
    keys = scores[rest] if past.strategy == "top" else 2.0 * scores[rest] + rng.gumbel(size=len(rest))
    chosen = rest[np.argsort(-keys)[: past.n - past.random]]
    share = past.random / len(candidates)
    rows = [(int(i), "random", share, "random share") for i in drawn]
    rows += [(int(i), "query", None, f"{past.strategy} of {len(candidates)} candidates; auto") for i in chosen]
    names = query_ids(number + 1, [ids[i] for i, *_ in rows])
    query = tuple(
        QueryRow(name, ids[i], rank, None, kind, 1, share_of, reason)
        for rank, (name, (i, kind, share_of, reason)) in enumerate(zip(names, rows, strict=True), 1)
    )
    return _bytes(table), query


def _answer(root: Path, number: int, query: tuple[QueryRow, ...], ids: list[str], truth: np.ndarray) -> None:
    folder = layout.round_folder(number)
    store.write_bytes(root / layout.LABELS / folder / "query.jsonl", to_jsonl(query))
    store.write_json(root / layout.MANIFESTS / folder / "b01.json", {"file": "b01.csv", "sha256": str(number)})


def _cache(root: Path, content: bytes, suffix: str = "") -> str:
    digest = _md5(content) + suffix
    store.write_bytes(root / ".dvc/cache/files/md5" / digest[:2] / digest[2:], content)
    return digest


def _parquet(**columns: list) -> bytes:
    kinds = {"round": pa.int32()}
    return _bytes(pa.table({name: pa.array(rows, kinds.get(name, pa.string())) for name, rows in columns.items()}))


def _bytes(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
