"""What the tracking tests stand on: a round's files without running stages, and servers."""

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from safetensors.numpy import save

from al_plugin import layout, store
from al_plugin.config import read_params
from al_plugin.data.pool import sample_table
from al_plugin.data.queries import QueryRow, query_ids, to_jsonl
from al_plugin.rounds.score import SCORES
from al_plugin.rounds.train import FORGETTING, POOL_DYNAMICS
from al_plugin.settings import Params
from al_plugin.tracking import place, session

CLASSES = ("cat", "dog", "fish")
WIDTH, HIDDEN = 5, 8
ROOT = Path(__file__).parent.parent
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_MODEL_CATALOG_URI": "",
}


def params_text(**tracking: object) -> str:
    lines = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in tracking.items())
    names = ", ".join(CLASSES)
    return (
        f"campaign:\n  name: zoo\n  experiment: al/zoo\n  classes: [{names}]\n"
        f"select: {{n: 4}}\ntracking:\n  register: true\n{lines}"
    )


def make_round(root: Path, number: int, labels: int, *, seed: int = 0, **tracking: object) -> Params:
    """Write the files of a round with ``labels`` labels into ``root``; its settings.

    Round 0 is one without a model. The same arguments give the same bytes.
    """
    rng = np.random.default_rng([seed, number])
    pool = [f"s-{i:02d}" for i in range(30)]
    features = np.random.default_rng(0).normal(size=(30, WIDTH))
    text = params_text(**tracking)
    store.write_bytes(root / layout.PARAMS, text.encode())
    store.write_bytes(root / layout.DVC_YAML, b"stages: {}\n")
    (root / layout.LABELS).mkdir(parents=True, exist_ok=True)
    for past in range(1, number + 1):
        store.write_json(root / layout.MANIFESTS / layout.round_folder(past) / "query.json", {"file": "query.jsonl"})
    store.write_table(root / layout.POOL / "part-00000.parquet", sample_table(pool, features))
    store.write_table(root / layout.EVAL / "part-00000.parquet", sample_table(["e-0"], features[:1], ["cat"]))
    given = [CLASSES[i % 3] for i in range(labels)]
    labelled = pa.table({"sample_id": pa.array(pool[:labels], pa.string()), "label": pa.array(given, pa.string())})
    for path in (layout.LABELED, layout.VOTES, layout.ASKED, layout.QUARANTINE):
        store.write_table(root / path, labelled)
    fitted = number > 0
    counted = {"labels": labels, "votes": labels, "annotators": 1, "disputed": 0, "pending": 2, "quarantined": 0}
    per_class = {name: given.count(name) for name in CLASSES}
    agreement = 1.0 if labels else None
    write = store.write_json
    write(
        root / layout.LABEL_METRICS,
        {"round": number, **counted, "mean_agreement": agreement, "per_class": per_class},
    )
    write(root / layout.VALIDATION, {"schema": "validation/1", "answers": labels, "rules": []})
    measured = dict(zip(("accuracy", "balanced_accuracy", "nll", "ece"), rng.random(4).tolist(), strict=True))
    dynamics = {"mean_forgetting_events": 0.5, "max_dispersion": None}
    if not fitted:
        measured, dynamics = dict.fromkeys(measured), dict.fromkeys(dynamics)
    write(
        root / layout.TRAIN_METRICS,
        {
            "round": number,
            "labels": labels,
            "eval": measured,
            "final_loss": 0.1 if fitted else None,
            "dynamics": dynamics,
        },
    )
    network = (
        {"kind": "mlp", "body": "mlp", "shape": [WIDTH], "classes": len(CLASSES), "hidden": HIDDEN, "dropout": 0.2}
        if fitted
        else {}
    )
    card = {"schema": "card/1", "strategy": "single", "round": number, "classes": list(CLASSES), "fitted": fitted}
    write(root / layout.CARD, {**card, "network": network, "signals": []})
    store.write_bytes(root / layout.WEIGHTS, save(weights(rng) if fitted else {}))
    n = labels if fitted else 0
    forgetting = {
        "sample_id": pool[:n],
        "label": given[:n],
        "presentations": [8] * n,
        "forgetting_events": rng.integers(0, 4, n).tolist(),
        "first_learned": [1] * n,
        "never_learned": [i == 1 for i in range(n)],
        "unforgettable": [False] * n,
    }
    store.write_table(root / layout.FORGETTING, pa.table(forgetting, schema=FORGETTING))
    store.write_table(root / layout.POOL_DYNAMICS, POOL_DYNAMICS.empty_table())
    curve = {"epoch": [0, 1, 2], "loss": [1.5, 0.5, 0.25], "train_accuracy": [0.5, 0.75, 1.0]}
    store.write_bytes(root / layout.TRAINING_CURVE, store.csv_text(curve if fitted else {name: [] for name in curve}))
    scores = (-rng.random(30)).tolist() if fitted else [None] * 30
    predicted, sure = (["cat"] * 30, [0.5] * 30) if fitted else ([None] * 30, [None] * 30)
    table = {"sample_id": pool, "score": scores, "predicted": predicted, "confidence": sure}
    store.write_table(root / layout.SCORES / "part-00000.parquet", pa.table(table, schema=SCORES))
    store.write_array(root / layout.SCORES / "part-00000" / "embeddings.npy", features)
    write(
        root / layout.SCORE_METRICS,
        {"round": number, "score": {"mean": -0.5 if fitted else None}, "mean_confidence": None},
    )
    asked = pool[-4:]
    rows = [
        QueryRow(query_id, sample, rank + 1, scores[26 + rank], "query", 1, None, "margin of 30 candidates")
        for rank, (query_id, sample) in enumerate(zip(query_ids(number + 1, asked), asked, strict=True))
    ]
    store.write_bytes(root / layout.QUERY, to_jsonl(rows))
    chosen = {"strategy": "top" if fitted else "typiclust", "mean_score": -0.5 if fitted else None}
    write(
        root / layout.SELECT_METRICS, {"round": number, "query_round": number + 1, "queried": 4, "random": 0, **chosen}
    )
    return read_params(text.encode())


def weights(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Tensors of a network of the built-in kind."""
    shapes = {
        "mean": (WIDTH,),
        "trunk.0.weight": (HIDDEN, WIDTH),
        "trunk.0.bias": (HIDDEN,),
        "head.weight": (len(CLASSES), HIDDEN),
        "head.bias": (len(CLASSES),),
    }
    found = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return found | {"scale": rng.uniform(0.5, 2, WIDTH).astype(np.float32)}


@cache
def empty_database() -> Path:
    """A migrated database without a run, made once: making one takes a second. Copy it, do not write to it."""
    folder = Path(tempfile.mkdtemp(prefix="al-tracking-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    where = place.resolve("sqlite:///mlflow.db", folder)
    with session.quiet(), session.alone(where.lock), session.talking(where):
        pass
    return folder / "mlflow.db"


def run_python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a Python of its own."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "DVC", "PYTEST"))}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=env | environment, capture_output=True, text=True, check=False
    )


def run_stage(root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the stage track in ``root`` as DVC would."""
    script = ROOT / "pipelines" / "track.py"
    return run_python(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')", root, **environment)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def silent_server() -> Iterator[str]:
    """URI of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    held.append(server.accept()[0])
            except OSError:
                pass

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """URI of an MLflow server on a free port with its data in ``folder``, killed with all its children at the end."""
    port = free_port()
    if not (folder / "server.db").exists():
        shutil.copy(empty_database(), folder / "server.db")
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", "sqlite:///server.db", "--artifacts-destination", "artifacts"),
    ]
    env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")} | QUIET
    with open(folder / "server.log", "wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    uri = f"http://127.0.0.1:{port}"
    try:
        _wait(uri, server, folder / "server.log")
        yield uri
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait(uri: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"{uri}/health", timeout=1):
                return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.1)
    raise RuntimeError(f"the MLflow server did not start: {log.read_text()[-2000:]}")
