"""How a campaign ages and how large it may be: 200 rounds, 1,000 label batches, a pool of a million.

    python benchmarks/long_life.py [--part rounds,batches,million,texts] [--rounds 200] [--pool 1000000]
                                   [--texts 1000000] [--text-features 512] [--recipes margin,badge]
                                   [--folder FOLDER] [--out benchmarks/results/long_life.json]

Every figure is of a process of its own: wall seconds, CPU seconds of it and its children, peak resident
MiB. Between the measured rounds of part ``rounds`` the stages' functions run in this process and `dvc
commit` writes what `dvc repro` would, so that each of the rounds is in Git, in the DVC cache and in MLflow.
"""

import argparse
import contextlib
import io
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from al_plugin import commands, layout, ledger, store, template
from al_plugin.data.answers import Answer, content_key
from al_plugin.data.label_round import AnswerFile
from al_plugin.data.pool import sample_table
from al_plugin.data.queries import QueryRow, query_ids, to_jsonl
from al_plugin.demo import commit
from al_plugin.stage import load_params

Told = dict[str, Any]
STAGES = {
    "merge-labels": "merge_labels",
    "train": "train",
    "score": "score",
    "select": "select_query",
    "track": "track",
}
FUNCTIONS = ("merge_labels", "train_model", "score_pool", "select_query", "track")
SAMPLED = (1, 25, 50, 100, 150, 200)
RECIPES = ("margin", "badge", "coreset", "typiclust", "random")
READERS = ("status", "verdict", "report", "track")
PART = 100_000
# A small process of its own starts the measured one, since Linux counts the memory of the one that forks as the
# child's, up to its start.
_LAUNCHER = """
import json, os, sys, time
begun = time.perf_counter()
child = os.fork()
if not child:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(child, 0)
told = {
    "s": round(time.perf_counter() - begun, 2),
    "cpu_s": round(usage.ru_utime + usage.ru_stime, 2),
    "peak_mib": round(usage.ru_maxrss / 1024),
}
with open(sys.argv[1], "w") as out:
    json.dump(told, out)
sys.exit(1 if status else 0)
"""


def al(*arguments: str) -> list[str]:
    """A command line of `al`."""
    return [sys.executable, "-m", "al_plugin.cli.main", *arguments]


def dvc(*arguments: str) -> list[str]:
    """A command line of DVC."""
    return [sys.executable, "-m", "dvc", *arguments]


def measured(*command: str) -> Told:
    """Wall and CPU seconds and peak resident MiB of a child and its children; it must succeed."""
    with tempfile.NamedTemporaryFile(dir=".git", suffix=".json") as figures:
        launcher = [sys.executable, "-S", "-c", _LAUNCHER, figures.name, *command]
        done = subprocess.run(launcher, env=commands.environment(None), capture_output=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr.decode(errors='replace')[-3000:]}")
        found: Told = json.load(figures)
    return found


def stage(name: str) -> Told:
    """The stage's script, as DVC starts it."""
    return measured(sys.executable, f"pipelines/{STAGES[name]}.py")


# Samples of some ids and a seed as a pool part, and their classes.
Made = Callable[[list[str], int], tuple[pa.Table, np.ndarray]]


def vectors(width: int, classes: int) -> Made:
    def made(ids: list[str], seed: int) -> tuple[pa.Table, np.ndarray]:
        features, labels = points(len(ids), width, classes, seed)
        return sample_table(ids, features), labels

    return made


def texts(classes: int) -> Made:
    """Twenty words each, the frequent ones often; two of them of the fifty that belong to the class."""
    words = np.array([f"{first}{second}" for first in range(100) for second in "abcdefghij"])
    often = 1 / np.arange(1, len(words) + 1)

    def made(ids: list[str], seed: int) -> tuple[pa.Table, np.ndarray]:
        rng = np.random.default_rng(seed)
        labels = rng.integers(classes, size=len(ids))
        drawn = words[rng.choice(len(words), size=(len(ids), 20), p=often / often.sum())]
        drawn[:, :2] = words[(50 * labels[:, None] + rng.integers(50, size=(len(ids), 2))) % len(words)]
        return pa.table({"sample_id": ids, "text": [" ".join(row) for row in drawn.tolist()]}), labels

    return made


def points(rows: int, width: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples of overlapping round clouds of unequal size, and their classes."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(classes, width)) * (4 / np.sqrt(width))
    shares = 1 / np.arange(1, classes + 1) ** 0.5
    labels = rng.choice(classes, size=rows, p=shares / shares.sum())
    features = rng.normal(size=(rows, width)).astype(np.float32)
    features += centres[labels].astype(np.float32)
    return features, labels


def start(root: Path, rows: int, evaluation: int, made: Made, classes: int, changes: dict[str, str]) -> None:
    """A committed campaign of such samples in the current folder, with its oracle."""
    commands.git("init", "--quiet", cwd=root)
    commands.dvc("init", "--quiet", cwd=root)
    commands.dvc("config", "core.analytics", "false", cwd=root)
    template.write(root, "long-life", tuple(str(c) for c in range(classes)))
    text = (root / layout.PARAMS).read_text()
    for old, new in changes.items():
        if old not in text:
            raise SystemExit(f"params.yaml has no line {old!r}")
        text = text.replace(old, new)
    (root / layout.PARAMS).write_text(text)
    answers = [b"sample_id,label\n"]
    for number, begin in enumerate(range(0, rows, PART)):
        size = min(PART, rows - begin)
        ids = [f"s{begin + i:07d}" for i in range(size)]
        table, labels = made(ids, 1 + number)
        store.write_table(root / layout.POOL / f"part-{number:05d}.parquet", table)
        answers += [f"{sample},{label}\n".encode() for sample, label in zip(ids, labels.tolist(), strict=True)]
    table, labels = made([f"e{i:06d}" for i in range(evaluation)], 10**6)
    labelled = table.append_column("label", [[str(c) for c in labels]])
    store.write_table(root / layout.EVAL / "part-00000.parquet", labelled)
    store.write_bytes(root / layout.ORACLE, b"".join(answers))
    commands.dvc("add", "--quiet", layout.POOL, layout.EVAL, cwd=root)
    commit(root, "Start")


def size_of(*paths: str) -> float:
    """MB on disk."""
    files = [file for path in paths for file in ([Path(path)] if Path(path).is_file() else Path(path).rglob("*"))]
    return round(sum(file.stat().st_blocks * 512 for file in files if file.is_file()) / 1e6, 2)


# Part rounds


def rounds(last: int) -> Told:
    """``last`` rounds of 5 answers each; what a round costs at the sampled ones, and what lies on the disk."""
    start(Path(), 2_000, 500, vectors(16, 4), 4, {"  n: 50": "  n: 5", "  epochs: 30": "  epochs: 5"})
    run_here(0)
    found, between = [], []
    for number in range(1, last + 1):
        if number in SAMPLED or number == last:
            row: Told = {"round": number, "oracle": measured(*al("oracle"))}
            commit(Path(), f"Labels {number}")
            row["dvc repro"] = measured(*dvc("repro", "--quiet"))
            commit(Path(), f"Round {number}")
            row["no-op"] = measured(*dvc("repro", "--quiet"))
            row |= {name: stage(name) for name in STAGES}
            measured(*al("status"))  # what is new in Git is read once and kept
            row |= {f"al {name}": measured(*al(name)) for name in READERS}
            row["disk"] = {
                "dvc_cache_mb": size_of(".dvc/cache"),
                "git_mb": size_of(".git"),
                "mlflow_db_mb": size_of("mlflow.db"),
                "mlruns_mb": size_of("mlruns"),
                "al_mb": size_of(layout.PRIVATE),
            }
            found.append(row)
            print("  ", json.dumps(row), flush=True)
        else:
            oracle_here()
            commit(Path(), f"Labels {number}")
            between.append({"round": number, **run_here(number)})
    return {"pool": 2_000, "labels_per_round": 5, "rounds": found, "between": between}


def oracle_here() -> None:
    """What `al oracle` does, in this process."""
    from al_plugin.cli import oracle

    with contextlib.redirect_stdout(io.StringIO()):
        oracle.run(argparse.Namespace(answers=None, annotator="oracle"))


def run_here(number: int) -> Told:
    """The stages' functions in this process, in DVC's order, with their CPU seconds, imports not among them.

    Then DVC notes what they wrote.
    """
    params, took = load_params(), {}
    for (name, script), function in zip(STAGES.items(), FUNCTIONS, strict=True):
        with contextlib.redirect_stdout(io.StringIO()):
            work = runpy.run_path(f"pipelines/{script}.py")[function]
            begun = time.process_time()
            work(params)
            took[name] = round(time.process_time() - begun, 3)
    took["dvc commit"] = measured(*dvc("commit", "--force", "--quiet"))["cpu_s"]
    commit(Path(), f"Round {number}")
    return took


# Part batches


def batches(shapes: Sequence[tuple[int, int]] = ((10, 100), (1_000, 1))) -> list[Told]:
    """Campaigns with 1,000 filed batches of 10 answers: merging them, filing one more, and the state of it all."""
    found = []
    for label_rounds, annotators in shapes:
        with inside(Path()):
            start(Path(), 20_000, 500, vectors(16, 4), 4, {"  n: 50": "  n: 10", "  epochs: 30": "  epochs: 5"})
            file_batches(label_rounds, annotators)
            commit(Path(), "Labels")
            row: Told = {"rounds": label_rounds, "annotators": annotators, "batches": label_rounds * annotators}
            row |= {name: stage(name) for name in STAGES}
            commands.dvc("commit", "--force", "--quiet")
            commit(Path(), "Round")
            row["no-op"] = measured(*dvc("repro", "--quiet"))
            row["al query export"] = measured(*al("query", "export", "sheet.csv"))
            fill_in(Path("sheet.csv"))
            row["al labels add"] = measured(*al("labels", "add", "sheet.csv", "--annotator", "a0000"))
            row |= {f"al {name}": measured(*al(name)) for name in READERS[:3]}
            found.append(row)
            print("  ", json.dumps(row), flush=True)
    return found


def file_batches(label_rounds: int, annotators: int) -> None:
    """Label rounds of 10 samples, each answered by every annotator."""
    rng = np.random.default_rng(0)
    ids = [f"s{i:07d}" for i in range(10 * label_rounds)]
    for number in range(1, label_rounds + 1):
        samples = ids[10 * (number - 1) : 10 * number]
        queries = query_ids(number, samples)
        rows = [
            QueryRow(query, sample, rank + 1, None, "query", annotators, None, "")
            for rank, (query, sample) in enumerate(zip(queries, samples, strict=True))
        ]
        asked = to_jsonl(rows)
        store.write_bytes(layout.filed_query(number, content_key(asked)), asked)
        ledger.file(
            AnswerFile(
                number,
                f"b01--a{who:04d}.csv",
                tuple(
                    Answer(query, sample, f"a{who:04d}", "labelled", str(rng.integers(4)))
                    for query, sample in zip(queries, samples, strict=True)
                ),
            )
            for who in range(annotators)
        )


def fill_in(sheet: Path) -> None:
    """Label 0 everywhere in an exported sheet."""
    import csv

    with open(sheet, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(sheet, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "label": "0"} for row in rows)


# Part million


def million(rows: int, recipes: Sequence[str]) -> Told:
    """One round with a model over a pool of ``rows`` samples, scored and selected by each recipe in turn."""
    width, classes = 64, 20
    begun = time.perf_counter()
    start(Path(), rows, 10_000, vectors(width, classes), classes, {"  n: 50": "  n: 1000"})
    told: Told = {"pool": rows, "width": width, "classes": classes, "n": 1000}
    told["pool_mb"] = size_of(layout.POOL)
    print(f"   made in {time.perf_counter() - begun:.0f} s", flush=True)
    told["round 0"] = kept({name: stage(name) for name in STAGES})
    told["round 0"]["al oracle"] = kept(measured(*al("oracle")))
    commit(Path(), "Labels 1")
    told["merge-labels"], told["train"] = kept(stage("merge-labels")), kept(stage("train"))
    text = Path(layout.PARAMS).read_text()
    told["recipes"] = {}
    for recipe in recipes:
        Path(layout.PARAMS).write_text(text.replace("  recipe: auto", f"  recipe: {recipe}"))
        shutil.rmtree(layout.SCORES)
        row: Told = {"score": stage("score"), "scores_mb": size_of(layout.SCORES), "select": stage("select")}
        told["recipes"][recipe] = row
        print("  ", recipe, json.dumps(row), flush=True)
    Path(layout.PARAMS).write_text(text.replace("  recipe: auto", f"  recipe: {recipes[0]}"))
    shutil.rmtree(layout.SCORES)
    told["dvc repro"] = kept(measured(*dvc("repro", "--quiet")))
    commit(Path(), "Round 1")
    told["no-op"] = kept(measured(*dvc("repro", "--quiet")))
    told["al query export"] = kept(measured(*al("query", "export", "sheet.csv")))
    fill_in(Path("sheet.csv"))
    for name in READERS:
        told[f"al {name} (first)" if name in ("status", "verdict") else f"al {name}"] = kept(measured(*al(name)))
    told["al status"], told["al verdict"] = kept(measured(*al("status"))), kept(measured(*al("verdict")))
    told["report_mb"] = size_of("reports/round_0001.html")
    told["al labels add"] = kept(measured(*al("labels", "add", "sheet.csv", "--annotator", "a")))
    return told


# Part texts


def many_texts(rows: int, width: int) -> Told:
    """One round over a pool of texts, by hashed n-grams and `auto`."""
    changes = {"  n: 50": "  n: 1000", "  text_features: 4096": f"  text_features: {width}"}
    start(Path(), rows, 2_000, texts(20), 20, changes)
    told: Told = {"pool": rows, "width": width, "pool_mb": size_of(layout.POOL)}
    told["round 0"] = kept({name: stage(name) for name in STAGES})
    told["round 0"]["al oracle"] = kept(measured(*al("oracle")))
    commit(Path(), "Labels 1")
    for name in STAGES:
        told[name] = kept(stage(name))
    return told


def kept(row: Told) -> Told:
    """The row, printed."""
    print("  ", json.dumps(row), flush=True)
    return row


@contextlib.contextmanager
def inside(parent: Path) -> Any:
    """Work in a new folder, removed at the end."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="al-long-", dir=parent) as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(home)


def table(told: Told) -> str:
    """What was measured, as markdown."""
    lines = []
    if "rounds" in told:
        samples = told["rounds"]["rounds"]
        lines += [f"{told['rounds']['labels_per_round']} answers a round, seconds (CPU seconds):", ""]
        lines += head(["", *(f"round {row['round']}" for row in samples)])
        names = [name for name in samples[0] if name not in ("round", "disk")]
        lines += [
            line(name, *(f"{row[name]['s']:.2f} ({row[name]['cpu_s']:.2f})" for row in samples)) for name in names
        ]
        lines += [line(f"{name}, in this process", *averages(told["rounds"], name)) for name in (*STAGES, "dvc commit")]
        lines += [line("peak of dvc repro, MiB", *(f"{row['dvc repro']['peak_mib']}" for row in samples))]
        lines += [line(name, *(f"{row['disk'][name]:.1f}" for row in samples)) for name in samples[0]["disk"]]
    if "batches" in told:
        lines += ["", "seconds (CPU seconds, peak MiB):", ""]
        lines += head(["", *(f"{row['rounds']} rounds x {row['annotators']}" for row in told["batches"])])
        names = [name for name, value in told["batches"][0].items() if isinstance(value, dict)]
        lines += [line(name, *(cell(row[name]) for row in told["batches"])) for name in names]
    if "million" in told:
        whole = told["million"]
        lines += ["", f"{whole['pool']:,} samples of {whole['width']} numbers, {whole['classes']} classes:", ""]
        lines += head(["", "s (CPU s, peak MiB)"])
        lines += [line(f"round 0, {name}", cell(value)) for name, value in whole["round 0"].items()]
        lines += [line(name, cell(value)) for name, value in whole.items() if isinstance(value, dict) and "s" in value]
        for recipe, row in whole["recipes"].items():
            lines += [line(f"{recipe}: {name}", cell(row[name])) for name in ("score", "select")]
    if "texts" in told:
        lines += ["", f"{told['texts']['pool']:,} texts as {told['texts']['width']} numbers:", ""]
        lines += head(["", "s (CPU s, peak MiB)"])
        lines += [line(f"round 0, {name}", cell(value)) for name, value in told["texts"]["round 0"].items()]
        lines += [line(name, cell(value)) for name, value in told["texts"].items() if name in STAGES]
    return "\n".join(lines)


def averages(told: Told, name: str) -> list[str]:
    """CPU seconds of a stage without its imports, in the mean of the ten rounds before each measured one."""
    found = []
    for row in told["rounds"]:
        near = [one[name] for one in told["between"] if row["round"] - 10 <= one["round"] < row["round"]]
        found.append(f"({np.mean(near):.2f})" if near else "")
    return found


def head(cells: list[str]) -> list[str]:
    return [line(*cells), "|" + " --- |" * len(cells)]


def line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def brief(value: Told) -> str:
    return f"{value['s']:.2f} ({value['cpu_s']:.2f})"


def cell(value: Told) -> str:
    return f"{value['s']:.2f} ({value['cpu_s']:.2f}, {value['peak_mib']})"


def main() -> None:
    """Run the asked parts and merge their figures into the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="batches,million,rounds")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--pool", type=int, default=1_000_000)
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--text-features", type=int, default=512)
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where campaigns are built")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    out = asked.out.resolve() if asked.out else None
    told: Told = json.loads(out.read_text()) if out and out.is_file() else {}
    asked.folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Callable[[], Any]] = {
        "rounds": lambda: rounds(asked.rounds),
        "batches": batches,
        "million": lambda: million(asked.pool, asked.recipes.split(",")),
        "texts": lambda: many_texts(asked.texts, asked.text_features),
    }
    for name in asked.part.split(","):
        print(name, flush=True)
        with inside(asked.folder):
            told[name] = parts[name]()
        if out:
            store.write_json(out, told)
    print(table(told))


if __name__ == "__main__":
    main()
