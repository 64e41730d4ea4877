"""Why a rebuilt round differs: the inputs of a stage that are not those its dvc.lock was written for."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from al_plugin import history, layout
from al_plugin.documents import read_yaml

_ABSENT = object()


def differing_inputs(past: history.PastRound, folder: Path, stages: tuple[str, ...]) -> Iterator[str]:
    """Inputs of ``stages`` that lie in ``folder``, a clone at the round's commit, with other content than pinned.

    One phrase each: code, then parameters, label batches, pool and evaluation set, and what else is read.
    What a stage of the round wrote is no input here.
    """
    written = history.outputs_of(past.lock).keys()
    pinned = {
        entry["path"]: entry.get("md5")
        for name in stages
        for entry in past.lock["stages"][name].get("deps", [])
        if entry["path"] not in written
    }
    changed = [path for path, digest in pinned.items() if digest and _digest(folder, path) != digest]
    labels = (layout.LABELS, layout.MANIFESTS)
    data = (layout.POOL, layout.EVAL)
    code = [path for path in changed if path not in (*labels, *data, layout.QUERIES)]
    yield from (f"code {_within(past, folder, path, pinned[path])}" for path in sorted(code))
    for name in stages:
        yield from _parameters(past.lock["stages"][name].get("params", {}), folder)
    for what, paths in (("label batch", labels), ("data", data), ("query", (layout.QUERIES,))):
        yield from (f"{what} {_within(past, folder, path, pinned[path])}" for path in paths if path in changed)


def _digest(folder: Path, name: str) -> str | None:
    path = folder / name
    if path.is_dir():
        return history.folder_hash(history.digests_of(path, folder))
    return history.digest_of(path) if path.is_file() else None


def _within(past: history.PastRound, folder: Path, path: str, pinned: str) -> str:
    """The first file of a folder that differs from the pinned content, the folder where that is not known."""
    if not pinned.endswith(".dir"):
        return path if (folder / path).exists() else f"{path}, which is not there"
    before = history.listing(past, path, pinned)
    if before is None:
        return f"{path}, in a file that is not known: what was pinned is in no commit and not in the DVC cache"
    now = history.digests_of(folder / path, folder) if (folder / path).is_dir() else {}
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            gone = ", which is not there" if name not in now else ", which is new" if name not in before else ""
            return f"{path}/{name}{gone}"
    return path


def _parameters(pinned: Mapping[str, Mapping[str, Any]], folder: Path) -> Iterator[str]:
    for file, values in pinned.items():
        path = folder / file
        now = (read_yaml(path.read_bytes(), file) if path.is_file() else None) or {}
        for key, old in values.items():
            yield from _leaves(key, old, _at(now, key))


def _at(document: Any, key: str) -> Any:
    for word in key.split("."):
        if not isinstance(document, dict) or word not in document:
            return _ABSENT
        document = document[word]
    return document


def _leaves(key: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in (*old, *(name for name in new if name not in old)):
            yield from _leaves(f"{key}.{name}", old.get(name, _ABSENT), new.get(name, _ABSENT))
    elif old != new:
        yield f"parameter {key}: {_shown(new)}, pinned {_shown(old)}"


def _shown(value: Any) -> str:
    return "not set" if value is _ABSENT else json.dumps(value, ensure_ascii=False, default=str)
