"""Files of the DVC cache and outputs whose content is not what their hash says. DVC trusts them unread."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from al_plugin import history, layout
from al_plugin.documents import read_dvc
from al_plugin.errors import AlError
from al_plugin.repair.fault import Fault, set_aside


def damaged() -> Iterator[Fault]:
    """Faults of every cached file and of every output that dvc.lock names; reads them all."""
    folder = history.cache_folder()
    for path in sorted(folder.glob("??/*")):
        name = path.parent.name + path.name
        if path.is_file() and history.is_digest(name) and history.digest_of(path) != name.removesuffix(".dir"):
            yield Fault(f"{path} is damaged", partial(_drop, path))
    for place, digest in _pinned().items():
        if place.is_file() and history.digest_of(place) != digest:
            yield Fault(f"{place} is not what dvc.lock says", partial(_look_again, place))


def _drop(path: Path) -> str:
    aside = set_aside(path)
    return f"{path} was damaged: set aside as {aside}; dvc fetch brings it from a remote, or dvc repro makes it anew"


def _look_again(path: Path) -> str:
    """Another time of change: DVC remembers a file's hash by it and reads the file anew."""
    os.utime(path)
    return f"{path} is not what dvc.lock says: DVC will look at it again"


def _pinned() -> dict[Path, str]:
    """Hash of every output file that dvc.lock names, those in output folders too if their list is cached."""
    try:
        lock = read_dvc(Path(layout.DVC_LOCK).read_bytes(), layout.DVC_LOCK)
    except (OSError, AlError):
        return {}
    past = history.PastRound(0, "", lock)
    found = {Path(path): digest for path, digest in past.outputs().items() if not digest.endswith(".dir")}
    for path, digest in past.outputs().items():
        listing = history.folder_listing(past, digest) if digest.endswith(".dir") else None
        found |= {Path(path, name): part for name, part in (listing or {}).items()}
    return found
