"""Keep a small campaign of this version: `python tests/golden_campaign/make.py` writes a folder named after it.

Two answered rounds of 36 samples. Kept are what a clone holds, the pool and evaluation set, and what
selecting again takes (merged labels, scores); of all other outputs dvc.lock holds the hashes. Run once, at a
release: an older folder is never written again, since it stands for what that release left behind.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from campaigns import answer, change, turn
from conftest import CLASSES, commit
from golden_campaign.kept import DOTTED, platform

from al_plugin import __version__, commands, layout, store, template
from al_plugin.data.pool import sample_table

HERE = Path(__file__).parent
KEPT = (
    *("params.yaml", "dvc.yaml", "dvc.lock", "pipelines", "gx"),
    *(layout.LABELS, layout.MANIFESTS, layout.QUERIES, layout.POOL, layout.EVAL, layout.ORACLE),
    layout.START,
    *("merged", layout.SCORES, layout.LABEL_METRICS, layout.EVAL_COPIES, layout.QUERY),
)


def build(root: Path) -> None:
    root.mkdir()
    commands.git("init", "--quiet", "--initial-branch=main", cwd=root)
    commands.dvc("init", "--quiet", cwd=root)
    template.write(root, "golden", CLASSES)
    change(root, n="6", epochs="5")
    rng = np.random.default_rng(0)
    centers = np.array([[0, 0, 0, 0], [3, 0, 3, 0], [0, 3, 0, 3]], dtype=float)
    for folder, prefix, size in ((layout.POOL, "s", 36), (layout.EVAL, "e", 18)):
        which = np.arange(size) % 3
        labels = [CLASSES[c] for c in which] if folder == layout.EVAL else None
        # Few binary digits: the parquet files stay small.
        features = np.round(4 * (centers[which] + rng.normal(size=(size, 4)))) / 4
        ids = [f"{prefix}-{i:02d}" for i in range(size)]
        store.write_table(root / folder / "part-00000.parquet", sample_table(ids, features, labels))
    rows = "".join(f"s-{i:02d},{CLASSES[i % 3]}\n" for i in range(36))
    store.write_bytes(root / layout.ORACLE, f"sample_id,label\n{rows}".encode())
    commit(root, "Start")
    turn(root)  # a cold start
    answer(root)
    turn(root)
    answer(root)
    change(root, recipe="badge")  # which asks the model
    turn(root)


def main() -> None:
    target = HERE / __version__
    if target.exists():
        sys.exit(
            f"{target} exists: a release's campaign is made once; delete it only while {__version__} is unreleased"
        )
    scratch = Path(tempfile.mkdtemp(prefix="al-golden-"))
    try:
        build(scratch / "golden")
        for name in KEPT:
            source = scratch / "golden" / name
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target / name)
        for name in DOTTED:
            shutil.copy(scratch / "golden" / f".{name}", target / name)
        (target / "platform.json").write_text(json.dumps(platform(), indent=2, sort_keys=True) + "\n")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{target}: {size} bytes in {sum(path.is_file() for path in target.rglob('*'))} files")


if __name__ == "__main__":
    main()
