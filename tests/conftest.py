"""Fixtures: a small campaign in a repository of its own, and the stages run in this process."""

import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from al_plugin import commands, history, layout, store, template
from al_plugin.cli.main import main
from al_plugin.data.pool import sample_table

ROOT = Path(__file__).parent.parent
CLASSES = ("a", "b", "c")
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost")


def blobs(n: int, seed: int, prefix: str) -> tuple[list[str], np.ndarray, list[str]]:
    """Three well-separated blobs: ids, features (n, 4), labels."""
    rng = np.random.default_rng(seed)
    which = np.arange(n) % 3
    centers = np.array([[0, 0, 0, 0], [6, 0, 6, 0], [0, 6, 0, 6]], dtype=float)
    features = centers[which] + rng.normal(size=(n, 4))
    return [f"{prefix}-{i:03d}" for i in range(n)], features, [CLASSES[c] for c in which]


@pytest.fixture(autouse=True)
def _another_repository() -> None:
    """A process works in one repository and remembers where its cache lies; each test has its own."""
    history.cache_folder.cache_clear()


@pytest.fixture(scope="session")
def seedling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed campaign without labels; copy it, do not write to it."""
    root = tmp_path_factory.mktemp("seedling") / "campaign"
    root.mkdir()
    commands.git("init", "--quiet", "--initial-branch=main", cwd=root)
    commands.dvc("init", "--quiet", cwd=root)
    template.write(root, "toy", CLASSES)
    text = (root / layout.PARAMS).read_text().replace("  n: 50", "  n: 12").replace("epochs: 30", "epochs: 8")
    (root / layout.PARAMS).write_text(text)
    ids, features, labels = blobs(90, 0, "s")
    store.write_table(root / layout.POOL / "part-00000.parquet", sample_table(ids[:50], features[:50]))
    store.write_table(root / layout.POOL / "part-00001.parquet", sample_table(ids[50:], features[50:]))
    eval_ids, eval_features, eval_labels = blobs(30, 1, "e")
    store.write_table(root / layout.EVAL / "part-00000.parquet", sample_table(eval_ids, eval_features, eval_labels))
    rows = "".join(f"{i},{label}\n" for i, label in zip(ids, labels, strict=True))
    store.write_bytes(root / layout.ORACLE, f"sample_id,label\n{rows}".encode())
    commit(root, "Start")
    return root


@pytest.fixture
def campaign(seedling: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of the campaign, as the current folder."""
    root = tmp_path / "campaign"
    shutil.copytree(seedling, root)
    monkeypatch.chdir(root)
    for name in ("DVC_STAGE", "DVC_ROOT", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return root


def commit(root: Path, message: str) -> None:
    commands.git("add", "--all", cwd=root)
    commands.git(*IDENTITY, "commit", "--quiet", "--allow-empty", "-m", message, cwd=root)


def stage(name: str) -> int:
    """Run a stage script of the current campaign in this process; its exit code."""
    try:
        runpy.run_path(f"pipelines/{name}.py", run_name="__main__")
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def turn() -> None:
    """One turn of the wheel without DVC and without MLflow."""
    for name in ("merge_labels", "train", "score", "select_query"):
        assert stage(name) == 0, name


def al(*arguments: str) -> int:
    """The command line in this process."""
    return main(list(arguments))


@pytest.fixture
def first_round(campaign: Path) -> Path:
    """A campaign whose round 0 has run: a cold-start query lies ready."""
    turn()
    return campaign


def fill(path: Path, target: Path, label_of: Callable[[str], str], annotator: str = "ann") -> Path:
    """An exported query with labels filled in, as a spreadsheet would save it."""
    lines = path.read_text().splitlines()
    header = lines[0].split(",")
    out = [lines[0]]
    for line in lines[1:]:
        cells = dict(zip(header, line.split(","), strict=True))
        cells["label"], cells["annotator"] = label_of(cells["sample_id"]), annotator
        out.append(",".join(cells[name] for name in header))
    target.write_text("\r\n".join(out) + "\r\n")
    return target


def filed(round_number: int, name: str) -> Path:
    """A file of a label round by its name without the key: ``b01--ann`` or ``query``."""
    first, dashes, rest = name.partition("--")
    folder = Path(layout.LABELS, layout.round_folder(round_number))
    (found,) = [*folder.glob(f"{first}-??????{dashes}{rest}.csv"), *folder.glob(f"{first}-??????{dashes}{rest}.jsonl")]
    return found


def manifest_of(path: Path) -> Path:
    """The manifest of a file of a label round."""
    return Path(layout.MANIFESTS, path.parent.name, f"{path.stem}.json")


def truth(sample_id: str) -> str:
    """The blob a sample comes from."""
    return CLASSES[int(sample_id.split("-")[1]) % 3]


def tree(root: Path) -> dict[str, bytes]:
    """Every file of a campaign but Git's, DVC's, private ones, and what says where it was computed."""
    skip = (".git", ".dvc", ".al", "mlruns", "__pycache__", "environments")
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not set(path.relative_to(root).parts) & set(skip) and "mlflow.db" not in path.name
    }
