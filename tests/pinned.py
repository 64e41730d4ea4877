"""A round as `dvc repro` and a commit leave it, without running DVC: dvc.lock, cache, commit."""

import hashlib
import json
from pathlib import Path

import yaml
from conftest import commit

from al_plugin import history, layout

CACHE = Path(".dvc/cache/files/md5")


def pin(message: str) -> None:
    """Write dvc.lock for the outputs that lie here, put them and the inputs into the cache, and commit."""
    stages = yaml.safe_load(Path(layout.DVC_YAML).read_text())["stages"]
    lock = {"schema": "2.0", "stages": {}}
    for name, stage in stages.items():
        if name == "track":
            continue
        entries = {}
        for section in ("deps", "outs"):
            named = stage.get(section, []) + (
                stage.get("metrics", []) + stage.get("plots", []) if section == "outs" else []
            )
            paths = [next(iter(one)) if isinstance(one, dict) else one for one in named]
            paths = [layout.POOL if path == "${score.target}" else path for path in paths]
            entries[section] = [
                {"path": path, "hash": "md5", "md5": kept(Path(path))}
                for path in dict.fromkeys(paths)
                if Path(path).exists()
            ]
        lock["stages"][name] = {"cmd": stage["cmd"], **entries}
    Path(layout.DVC_LOCK).write_text(yaml.safe_dump(lock, sort_keys=True))
    commit(Path(), message)


def kept(path: Path) -> str:
    """DVC's hash of a file or folder, whose contents are put into the cache."""
    if path.is_file():
        return _file(path.read_bytes())
    digests = history.digests_of(path)
    for name in digests:
        _file((path / name).read_bytes())
    listing = json.dumps([{"md5": digests[name], "relpath": name} for name in sorted(digests)], sort_keys=True)
    return _file(listing.encode(), ".dir")


def _file(content: bytes, suffix: str = "") -> str:
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest() + suffix
    target = CACHE / digest[:2] / digest[2:]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return digest
