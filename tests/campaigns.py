"""Small campaigns of every kind of data, and rounds of them through real `dvc repro`."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from conftest import CLASSES, commit

from al_plugin import commands, layout, store, template
from al_plugin.data.pool import sample_table

Writer = Callable[..., None]


def ids_and_labels(ids: list[str], which: np.ndarray, *, labeled: bool) -> dict[str, pa.Array]:
    columns = {"sample_id": pa.array(ids)}
    return columns | ({"label": pa.array([CLASSES[c] for c in which])} if labeled else {})


def vectors(folder: Path, ids: list[str], which: np.ndarray, rng: np.random.Generator, *, labeled: bool) -> None:
    centers = np.array([[0, 0, 0, 0], [4, 0, 4, 0], [0, 4, 0, 4]], dtype=float)
    features = centers[which] + rng.normal(size=(len(ids), 4))
    names = [CLASSES[c] for c in which] if labeled else None
    store.write_table(folder / "part-00000.parquet", sample_table(ids, features, names))


def embeddings(folder: Path, ids: list[str], which: np.ndarray, rng: np.random.Generator, *, labeled: bool) -> None:
    values = (np.eye(3, 6)[which] * 3 + rng.normal(size=(len(ids), 6))).astype(np.float16)
    store.write_table(folder / "part-00000.parquet", pa.table(ids_and_labels(ids, which, labeled=labeled)))
    store.write_array(folder / "part-00000.npy", values)


def texts(folder: Path, ids: list[str], which: np.ndarray, rng: np.random.Generator, *, labeled: bool) -> None:
    topics = (
        ["goal", "match", "team", "league"],
        ["stock", "market", "price", "bank"],
        ["atom", "cell", "star", "lab"],
    )
    common = ["the", "new", "of", "today", "was", "a"]
    lines = [" ".join(rng.choice([*topics[c], *common], size=9)) for c in which]
    columns = ids_and_labels(ids, which, labeled=labeled) | {"text": pa.array(lines)}
    store.write_table(folder / "part-00000.parquet", pa.table(columns))


def tables(folder: Path, ids: list[str], which: np.ndarray, rng: np.random.Generator, *, labeled: bool) -> None:
    size = [None if rng.random() < 0.1 else float(c + 0.4 * rng.normal()) for c in which]
    color = [None if rng.random() < 0.1 else ("red", "green", "blue")[(c + (rng.random() < 0.1)) % 3] for c in which]
    columns = ids_and_labels(ids, which, labeled=labeled)
    columns |= {"size": pa.array(size, pa.float64()), "color": pa.array(color, pa.string())}
    store.write_table(folder / "part-00000.parquet", pa.table(columns))


def pictures(which: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grey images 12x12: bright top, bright left, dark."""
    out = rng.integers(0, 80, size=(len(which), 12, 12))
    out[which == 0, :6] += 120
    out[which == 1, :, :6] += 120
    return out.astype(np.uint8)


def image_files(folder: Path, ids: list[str], which: np.ndarray, rng: np.random.Generator, *, labeled: bool) -> None:
    from PIL import Image

    uris = [f"images/{sample}.png" for sample in ids]
    for uri, pixels in zip(uris, pictures(which, rng), strict=True):
        content = io.BytesIO()
        Image.fromarray(pixels).save(content, format="PNG")
        store.write_bytes(folder / uri, content.getvalue())
    columns = ids_and_labels(ids, which, labeled=labeled) | {"uri": pa.array(uris)}
    store.write_table(folder / "part-00000.parquet", pa.table(columns))


def image_arrays(folder: Path, ids: list[str], which: np.ndarray, rng: np.random.Generator, *, labeled: bool) -> None:
    store.write_table(folder / "part-00000.parquet", pa.table(ids_and_labels(ids, which, labeled=labeled)))
    store.write_array(folder / "part-00000.npy", pictures(which, rng))


KINDS: dict[str, Writer] = {
    "vectors": vectors,
    "embeddings": embeddings,
    "texts": texts,
    "tables": tables,
    "image_files": image_files,
    "image_arrays": image_arrays,
}


def start(root: Path, kind: str, **changes: str) -> Path:
    """A committed campaign without labels; ``changes`` replace lines of params.yaml by their key."""
    root.mkdir()
    commands.git("init", "--quiet", "--initial-branch=main", cwd=root)
    commands.dvc("init", "--quiet", cwd=root)
    template.write(root, "toy", CLASSES)
    change(root, n="12", epochs="15", **changes)
    rng = np.random.default_rng(0)
    for folder, prefix, size in ((layout.POOL, "s", 90), (layout.EVAL, "e", 45)):
        which = np.arange(size) % 3
        ids = [f"{prefix}-{i:03d}" for i in range(size)]
        KINDS[kind](root / folder, ids, which, rng, labeled=folder == layout.EVAL)
    rows = "".join(f"s-{i:03d},{CLASSES[i % 3]}\n" for i in range(90))
    store.write_bytes(root / layout.ORACLE, f"sample_id,label\n{rows}".encode())
    commit(root, "Start")
    return root


LABELS = ("left", "right", "far")


def answers_of(task: str, points: np.ndarray) -> list[str]:
    """The true answers of a task at points (N, 4): a smooth number, or which of three half-spaces hold them."""
    if task == "regression":
        return [f"{10 + 3 * p[0] - 2 * p[1] + p[0] * p[1]:.6g}" for p in points]
    inside = np.stack([points[:, 0] < 0, points[:, 1] > 0, np.abs(points[:, 2]) > 1], axis=1)
    return ["|".join(name for name, here in zip(LABELS, row, strict=True) if here) for row in inside]


def start_task(root: Path, task: str, **changes: str) -> Path:
    """A committed campaign of sets of labels or of numbers, without labels."""
    root.mkdir()
    commands.git("init", "--quiet", "--initial-branch=main", cwd=root)
    commands.dvc("init", "--quiet", cwd=root)
    template.write(root, "toy", LABELS if task == "multilabel" else (), task)
    change(root, n="16", epochs="60", **changes)
    rng = np.random.default_rng(0)
    for folder, prefix, size in ((layout.POOL, "s", 120), (layout.EVAL, "e", 60)):
        points = rng.normal(size=(size, 4))
        ids, found = [f"{prefix}-{i:03d}" for i in range(size)], answers_of(task, points)
        known = found if folder == layout.EVAL else None
        store.write_table(root / folder / "part-00000.parquet", sample_table(ids, points, known))
        if folder == layout.POOL:
            rows = "".join(f"{i},{label}\n" for i, label in zip(ids, found, strict=True))
            store.write_bytes(root / layout.ORACLE, f"sample_id,label\n{rows}".encode())
    commit(root, "Start")
    return root


def change(root: Path, **values: str) -> None:
    """Set keys of params.yaml, wherever they stand (keys are unique but for ``strategy``)."""
    path = root / layout.PARAMS
    lines = path.read_text().splitlines()
    for key, value in values.items():
        at = [i for i, line in enumerate(lines) if line.startswith(f"  {key}:")]
        assert len(at) == 1, (key, at)
        lines[at[0]] = f"  {key}: {value}"
    path.write_text("\n".join(lines) + "\n")


def turn(root: Path) -> dict:
    """One `dvc repro` with a commit after it; the metrics of train."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "select"],
        cwd=root,
        env=commands.environment(None),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    commit(root, "Round")
    return json.loads((root / layout.TRAIN_METRICS).read_text())


def answer(root: Path) -> None:
    """Answer the open query from the known labels."""
    command = [sys.executable, "-m", "al_plugin.cli.main", "oracle"]
    subprocess.run(command, cwd=root, env=commands.environment(None), check=True, capture_output=True)
    commit(root, "Labels")


def asked(root: Path) -> list[str]:
    return [json.loads(line)["sample_id"] for line in (root / layout.QUERY).read_text().splitlines()]
