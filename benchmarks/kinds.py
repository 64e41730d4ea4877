"""One campaign per kind of data at full size: time and peak memory of each stage, accuracy by round.

python benchmarks/kinds.py --data FOLDER [--only images,texts,tables,vectors] [--rounds 3] [--n 200] [--out FILE]

FOLDER holds mnist.npz, fashion_mnist.npz, trec6.parquet, sst2.parquet, adult.parquet and letter.parquet. Each
campaign is built in a temporary folder by `al init`'s own template, and the stage scripts run one after the other
as DVC would start them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from al_plugin import commands, layout, store, template
from al_plugin.data.pool import sample_table

STAGES = ("merge_labels", "train", "score", "select_query")
Samples = tuple[pa.Table, np.ndarray | None, list[str]]
Source = Callable[[Path], tuple[Samples, Samples]]


def images(name: str) -> Source:
    """Grey images of 28x28 pixels, as arrays beside the parts."""

    def read(folder: Path) -> tuple[Samples, Samples]:
        held = np.load(folder / f"{name}.npz")
        train, test = (held["X_train"], held["y_train"]), (held["X_test"], held["y_test"])
        return tuple(  # type: ignore[return-value]
            (pa.table({"sample_id": _ids(prefix, len(y))}), x, [str(c) for c in y])
            for prefix, (x, y) in (("pool", train), ("eval", test))
        )

    return read


# Columns that tell the answer, or nothing.
ANSWERS = ("label", "label_name", "fine_label", "split", "id")


def frame(name: str) -> Source:
    """A parquet file with columns ``label`` and ``split``; the split ``test`` is the evaluation set."""

    def read(folder: Path) -> tuple[Samples, Samples]:
        table = pq.read_table(folder / f"{name}.parquet")
        splits = table.column("split").to_pylist()
        made = []
        for prefix, split in (("pool", "train"), ("eval", "test")):
            part = table.filter(pa.array([of == split for of in splits]))
            labels = [str(value) for value in part.column("label").to_pylist()]
            part = part.drop_columns([column for column in ANSWERS if column in part.column_names])
            made.append((part.add_column(0, "sample_id", pa.array(_ids(prefix, part.num_rows))), None, labels))
        return made[0], made[1]

    return read


def vectors(folder: Path) -> tuple[Samples, Samples]:
    """Letter: 16 whole numbers per sample, as ready features."""
    made = []
    for table, _, labels in frame("letter")(folder):
        ids = table.column("sample_id").to_pylist()
        columns = [name for name in table.column_names if name != "sample_id"]
        features = np.stack([table.column(name).to_numpy() for name in columns], axis=1)
        made.append((sample_table(ids, features), None, labels))
    return made[0], made[1]


KINDS: dict[str, Source] = {
    "images (MNIST)": images("mnist"),
    "images (Fashion-MNIST)": images("fashion_mnist"),
    "texts (TREC-6)": frame("trec6"),
    "texts (SST-2)": frame("sst2"),
    "tables (Adult)": frame("adult"),
    "vectors (Letter)": vectors,
}


def _ids(prefix: str, n: int) -> list[str]:
    return [f"{prefix}-{i:06d}" for i in range(n)]


def build(root: Path, pool: Samples, evaluation: Samples, n: int) -> None:
    """A committed campaign of that data."""
    commands.git("init", "--quiet", cwd=root)
    commands.dvc("init", "--quiet", cwd=root)
    template.write(root, "kinds", tuple(sorted({*pool[2], *evaluation[2]})))
    params = (
        (root / layout.PARAMS)
        .read_text()
        .replace("  n: 50", f"  n: {n}")
        .replace("dynamics_every: 1", "dynamics_every: 0")
    )
    (root / layout.PARAMS).write_text(params)
    for folder, (table, array, labels) in ((layout.POOL, pool), (layout.EVAL, evaluation)):
        whole = table.append_column("label", pa.array(labels)) if folder == layout.EVAL else table
        store.write_table(root / folder / "part-00000.parquet", whole)
        if array is not None:
            store.write_array(root / folder / "part-00000.npy", array)
    rows = "".join(f"{i},{c}\n" for i, c in zip(pool[0].column("sample_id").to_pylist(), pool[2], strict=True))
    store.write_bytes(root / layout.ORACLE, f"sample_id,label\n{rows}".encode())


def measured(root: Path, *command: str) -> tuple[float, float]:
    """Wall seconds and peak resident MiB of a child process; it must succeed."""
    started = time.perf_counter()
    child = subprocess.Popen(command, cwd=root, env=commands.environment(None), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed in {root}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def campaign(source: Source, data: Path, rounds: int, n: int) -> dict[str, Any]:
    """Rounds 0 to ``rounds`` of one campaign."""
    with tempfile.TemporaryDirectory(prefix="al-kinds-") as folder:
        root = Path(folder)
        pool, evaluation = source(data)
        build(root, pool, evaluation, n)
        told: dict[str, Any] = {"pool": pool[0].num_rows, "evaluation": evaluation[0].num_rows, "rounds": []}
        for number in range(rounds + 1):
            if number:
                measured(root, sys.executable, "-m", "al_plugin.cli.main", "oracle")
            stages = {name: measured(root, sys.executable, f"pipelines/{name}.py") for name in STAGES}
            metrics = json.loads((root / layout.TRAIN_METRICS).read_text())
            told["rounds"].append(
                {
                    "labels": metrics["labels"],
                    "accuracy": metrics["eval"]["accuracy"],
                    "seconds": {name: round(seconds, 2) for name, (seconds, _) in stages.items()},
                    "peak_mib": {name: round(peak) for name, (_, peak) in stages.items()},
                }
            )
            print("  ", json.dumps(told["rounds"][-1]), flush=True)
        return told


def main() -> None:
    """Run the asked kinds and merge their figures into the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="", help="kinds whose names contain one of these words, by comma")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "kinds.json")
    asked = parser.parse_args()
    results = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    for name, source in KINDS.items():
        if any(word in name for word in asked.only.split(",")):
            print(name, flush=True)
            results[name] = campaign(source, asked.data, asked.rounds, asked.n)
            asked.out.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
