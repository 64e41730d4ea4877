"""Start-up and time of each stage, of a forced round, and of `dvc repro` with nothing to do.

    python benchmarks/stages.py [--files 500] [--out benchmarks/results/stages.json]

Builds a demo campaign with one answered round in a temporary folder, then measures on it. Every
figure is the median of nine; the empty pipeline is measured interleaved with ours.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from al_plugin import campaign, commands, layout, ledger, store
from al_plugin.data.answers import Answer
from al_plugin.data.label_round import AnswerFile
from al_plugin.data.queries import QueryRow, query_ids, to_jsonl
from al_plugin.demo import build, commit

REPEATS = 9
STAGES = ("merge_labels", "train", "score", "select_query", "track")
FLOORS = {
    "merge_labels": "import great_expectations",
    "train": "import torch",
    "score": "import torch",
    "select_query": "import numpy, pyarrow.parquet",
    "track": "import mlflow",
}
EMPTY = """stages:
  one: {cmd: "echo 1 > one.txt", deps: [in.txt], outs: [one.txt]}
  two: {cmd: "cat one.txt > two.txt", deps: [one.txt], outs: [two.txt]}
"""


def seconds(command: list[str], cwd: Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, cwd=cwd, env=commands.environment(), check=True, capture_output=True)
    return time.perf_counter() - started


def median(command: list[str], cwd: Path) -> float:
    return statistics.median(seconds(command, cwd) for _ in range(REPEATS))


def stage_times(folder: Path) -> dict[str, dict[str, float]]:
    rows = {}
    for script in STAGES:
        path = f"pipelines/{script}.py"
        load = f"import runpy; runpy.run_path({path!r})"
        rows[script] = {
            "start_up_s": median([sys.executable, "-c", load], folder),
            "floor_s": median([sys.executable, "-c", FLOORS[script]], folder),
            "whole_s": median([sys.executable, path], folder),
        }
    return rows


def many_files(folder: Path, files: int) -> None:
    """Fill label round 2 with one-row batches of as many annotators."""
    os.chdir(folder)
    pool = sorted(campaign.read_pool_ids())[:files]
    queries = query_ids(2, pool)
    pairs = list(zip(queries, pool, strict=True))
    rows = [QueryRow(query, sample, i + 1, None, "query", 1, None, "") for i, (query, sample) in enumerate(pairs)]
    store.write_bytes(layout.filed_query(2, "000000"), to_jsonl(rows))
    batches = [
        AnswerFile(2, f"b01--a{i:04d}.csv", (Answer(query, sample, f"a{i:04d}", "labelled", "1"),))
        for i, (query, sample) in enumerate(pairs)
    ]
    ledger.file(batches)


def no_op(folder: Path, empty: Path) -> dict[str, float]:
    dvc = [sys.executable, "-m", "dvc", "repro", "--quiet"]
    ours, theirs = [], []
    for _ in range(REPEATS):
        ours.append(seconds(dvc, folder))
        theirs.append(seconds(dvc, empty))
    a, b = statistics.median(ours), statistics.median(theirs)
    return {"no_op_s": a, "empty_two_stages_s": b, "ratio": a / b}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    out = arguments.out.resolve() if arguments.out else None
    scratch = Path(tempfile.mkdtemp(prefix="al-bench-"))
    try:
        folder, empty = scratch / "demo", scratch / "empty"
        build(folder, 1, 50, lambda _: None)
        result: dict[str, object] = {"stages": stage_times(folder)}
        dvc = [sys.executable, "-m", "dvc", "repro", "--force", "--quiet"]
        result["forced_round_s"] = median(dvc, folder)
        empty.mkdir()
        commands.git("init", "--quiet", cwd=empty)
        commands.dvc("init", "--quiet", cwd=empty)
        (empty / "dvc.yaml").write_text(EMPTY)
        (empty / "in.txt").write_text("in\n")
        commands.dvc("repro", "--quiet", cwd=empty)
        commit(empty, "Start")
        many_files(folder, arguments.files)
        commands.dvc("repro", "--quiet", cwd=folder)
        commit(folder, "Many files")
        result["label_files"] = arguments.files + 1
        result |= no_op(folder, empty)
        print(json.dumps(result, indent=2))
        if out:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps(result, indent=2) + "\n")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
