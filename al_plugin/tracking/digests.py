"""What DVC calls the content of a file or folder: its MD5, from dvc.lock or from the bytes."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from al_plugin import layout
from al_plugin.errors import DataError
from al_plugin.history import digests_of, folder_hash, hashed

# Up to here hashing costs less than a tenth of a second, and files tell the truth where a stage
# was run by hand and dvc.lock is stale.
_ALWAYS_HASHED = 32 << 20
_STAGE = re.compile(r"^  (\S[^:]*):\s*$")
_SECTION = re.compile(r"^    (deps|outs):\s*$")
_PATH = re.compile(r"^    - path: (.+)$")
_FIELD = re.compile(r"^      (md5|size): (\S+)$")


@dataclass(frozen=True)
class Locked:
    """What dvc.lock says of a path; a folder's ``md5`` ends in ``.dir``."""

    md5: str
    size: int


def locked(content: bytes) -> dict[str, Locked]:
    """Outputs and dependencies of a dvc.lock by path, an output's entry before a dependency's.

    The stage track is left out: while it runs its entry is that of the round before. Read line by
    line: DVC writes the file in one form, and YAML takes a third of a second for it.
    """
    found: dict[str, dict[str, Locked]] = {"outs": {}, "deps": {}}
    for stage, section, path, fields in _entries(content.decode("utf-8", errors="replace")):
        if stage != "track" and "md5" in fields:
            found[section].setdefault(path, Locked(fields["md5"], int(fields.get("size", "0"))))
    return {**found["deps"], **found["outs"]}


def read_lock(root: Path) -> dict[str, Locked]:
    """Entries of the dvc.lock in ``root``, none if it has none."""
    path = root / layout.DVC_LOCK
    return locked(path.read_bytes()) if path.is_file() else {}


def digest(root: Path, path: str, lock: dict[str, Locked]) -> str:
    """DVC's MD5 of ``root/path``, or DataError where neither the file nor dvc.lock has it.

    Large content is not hashed again if it has the size that dvc.lock gives.
    """
    target, entry = root / path, lock.get(path)
    files = _files(target, root)
    if files is None:
        if entry is None:
            raise DataError(f"{path} is not there and {layout.DVC_LOCK} does not know it", change="run dvc repro")
        return entry.md5
    size = sum(file.stat().st_size for file in files)
    if entry is not None and size == entry.size and size > _ALWAYS_HASHED:
        return entry.md5
    return file_md5(target) if target.is_file() else folder_md5(target, root)


def file_md5(path: Path) -> str:
    """MD5 of a file's bytes, as DVC 3 takes it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def folder_md5(path: Path, root: Path | None = None) -> str:
    """DVC's MD5 of the folder ``path`` in the repository ``root``; by itself, as one that was fetched, without."""
    return folder_hash(digests_of(path, root or path))


def _entries(text: str) -> Iterator[tuple[str, str, str, dict[str, str]]]:
    """(stage, section, path, fields) of every dependency and output."""
    stage = section = path = ""
    fields: dict[str, str] = {}
    for line in (*text.splitlines(), ""):
        field = _FIELD.match(line)
        if path and field:
            fields[field[1]] = field[2]
        elif path and line.startswith("      "):
            continue
        else:
            if path:
                yield stage, section, path, fields
                path = ""
            if new := _PATH.match(line):
                path, fields = (_unquoted(new[1]), {}) if section else ("", {})
            elif new := _SECTION.match(line):
                section = new[1]
            elif new := _STAGE.match(line):
                stage, section = new[1], ""
            elif line.startswith("    ") and not line.startswith("     "):
                section = ""


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'") if len(text) > 1 and text[0] == text[-1] == "'" else text


def _files(path: Path, root: Path) -> list[Path] | None:
    """All files of a folder, or the file itself; None if there is neither."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        return None
    names = (file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    return [path / name for name in hashed(names, Path(os.path.relpath(path, root)).as_posix(), root)]
