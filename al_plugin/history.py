"""Rounds of the past: commits whose dvc.lock pins a number of label rounds."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from al_plugin import __version__, commands, dvc_config, dvc_ignore, layout, store
from al_plugin.documents import read_dvc
from al_plugin.errors import ParamsError

# The stages of a round whose outputs are compared; `track` has none.
STAGES = ("merge-labels", "train", "score", "select")
_DIGEST = re.compile(r"[0-9a-f]{32}(?:\.dir)?")


@dataclass(frozen=True)
class PastRound:
    """The newest first-parent commit that holds a round; ``lock`` is its parsed dvc.lock.

    ``home`` is the repository whose DVC cache holds its outputs.
    """

    number: int
    commit: str
    lock: dict[str, Any]
    home: Path = Path()

    def outputs(self) -> dict[str, str]:
        """Hash of every stage output, by path."""
        return {
            entry.get("path"): entry["md5"]
            for stage in self.lock["stages"].values()
            for entry in stage.get("outs", [])
            if "md5" in entry
        }


def hashes(lock: Mapping[str, Any]) -> dict[str, str]:
    """DVC's hash of what the stages of a dvc.lock read and wrote, by path."""
    stages = (lock.get("stages") or {}).values()
    return {
        entry.get("path"): entry["md5"]
        for section in ("deps", "outs")
        for stage in stages
        for entry in stage.get(section, [])
        if "md5" in entry
    }


def outputs_of(lock: Mapping[str, Any]) -> dict[str, str]:
    """DVC's hash of every output of a round's stages, by path, "" where none is told."""
    return {entry["path"]: entry.get("md5", "") for name in STAGES for entry in lock["stages"][name].get("outs", [])}


def is_digest(text: str) -> bool:
    """Whether it is a hash as DVC writes it, of a file or of a folder."""
    return _DIGEST.fullmatch(text) is not None


def past_rounds() -> dict[int, PastRound]:
    """Rounds by number, oldest first.

    A commit counts where its dvc.lock was written for the manifests it holds: a commit that only
    adds labels does not, nor does one whose dvc.lock cannot be read.
    """
    found: dict[int, PastRound] = {}
    if commands.git_bytes("rev-parse", "--verify", "--quiet", "HEAD") is None:
        return found  # nothing is committed yet
    log = commands.git("rev-list", "--first-parent", "HEAD", "--", layout.DVC_LOCK, layout.MANIFESTS)
    for commit in log.split():
        past = _remembered_round_at(commit)
        if past is not None and past.number not in found:
            found[past.number] = past
    return dict(sorted(found.items()))


def current_round() -> PastRound | None:
    """The round in the working tree, committed or not, or None where `dvc repro` has not finished it."""
    path = Path(layout.DVC_LOCK)
    lock: dict[str, Any] = read_dvc(path.read_bytes(), layout.DVC_LOCK) if path.is_file() else {}
    if not _whole(lock):
        return None
    files = digests_of(Path(layout.MANIFESTS))
    if _pinned(lock, layout.MANIFESTS) != folder_hash(files):
        return None
    return PastRound(len(layout.rounds_in(files)), "", lock)


def read_output(past: PastRound, path: str) -> bytes | None:
    """Content of a stage output of a past round from the local DVC cache, or None if it is not there."""
    digest = past.outputs().get(path)
    return None if digest is None or digest.endswith(".dir") else _cached(past, digest)


def read_object(past: PastRound, path: str) -> dict[str, Any] | None:
    """The JSON object of a stage output of a past round, or None where it is not in the cache or damaged there."""
    content = read_output(past, path)
    try:
        value = None if content is None else json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def evaluation(trained: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The metrics on the evaluation set in what train measured, None where it holds no such object."""
    measured = trained.get("eval")
    return measured if isinstance(measured, Mapping) else None


def read_folder(past: PastRound, path: str, suffix: str) -> dict[str, bytes] | None:
    """Files of an output folder that end in ``suffix``, by path within it, in order; None if one is not cached."""
    digest = past.outputs().get(path)
    files = None if digest is None or not digest.endswith(".dir") else folder_listing(past, digest)
    if files is None:
        return None
    cached = {name: _cached(past, files[name]) for name in sorted(files) if name.endswith(suffix)}
    found = {name: content for name, content in cached.items() if content is not None}
    return found if len(found) == len(cached) else None


def folder_listing(past: PastRound, digest: str) -> dict[str, str] | None:
    """MD5 of every file of an output folder by path within it; None if the list is not cached or damaged."""
    listing = _cached(past, digest)
    try:
        return None if listing is None else {entry["relpath"]: entry["md5"] for entry in json.loads(listing)}
    except (ValueError, TypeError, KeyError):
        return None


def listing(past: PastRound, path: str, digest: str) -> dict[str, str] | None:
    """MD5 of each file of a folder that DVC calls ``digest``, by path within it; None where nobody knows it.

    From the commits up to the round's, where Git keeps the folder, or from the local DVC cache.
    """
    commits = commands.git("rev-list", "--first-parent", past.commit, "--", path).split()
    for blobs in (files_at(commit, path) for commit in (past.commit, *commits)):
        if blobs and digest in hashes_of_blobs(blobs, path):
            return {name: _KNOWN[blob] for name, blob in blobs.items()}
    return folder_listing(past, digest)


def _cached(past: PastRound, digest: str) -> bytes | None:
    path = cache_folder(past.home) / digest[:2] / digest[2:]
    return path.read_bytes() if path.is_file() else None


@cache
def cache_folder(home: Path = Path()) -> Path:
    """Where DVC keeps files of the repository at ``home`` by MD5."""
    folder = home / ".dvc"
    configured = dvc_config.read(folder).get("cache", {}).get("dir")
    return Path(configured) / "files" / "md5" if configured else folder / "cache" / "files" / "md5"


def altered() -> list[str]:
    """Files of the working tree that dvc.lock knows by another hash: no stage wrote what they hold now."""
    path = Path(layout.DVC_LOCK)
    known = hashes(read_dvc(path.read_bytes(), layout.DVC_LOCK)) if path.is_file() else {}
    return sorted(name for name, md5 in known.items() if Path(name).is_file() and digest_of(Path(name)) != md5)


def pinned_manifests() -> str | None:
    """DVC's hash of data/manifests that the working tree's dvc.lock was written for."""
    path = Path(layout.DVC_LOCK)
    if not path.is_file():
        return None
    return _pinned(read_dvc(path.read_bytes(), layout.DVC_LOCK), layout.MANIFESTS)


def present_manifests() -> str:
    """The same of the folder as it is now."""
    return folder_hash(digests_of(Path(layout.MANIFESTS)))


def digest_of(path: Path) -> str:
    """MD5 of a file, as DVC keeps it."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def digests_of(folder: Path, root: Path = Path()) -> dict[str, str]:
    """MD5 of every file of a folder, by path within it; without what the .dvcignore of the repository ``root`` names.

    Hidden files count, as they do for DVC.
    """
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    kept = hashed(files, Path(os.path.relpath(folder, root)).as_posix(), root)
    return {name: digest_of(files[name]) for name in kept}


def hashed(names: Iterable[str], folder: str, root: Path = Path()) -> list[str]:
    """Those of a folder's files that DVC hashes in the repository ``root``: all but those that its .dvcignore names."""
    left_out, head = dvc_ignore.left_out(root), "" if folder == "." else f"{folder}/"
    return [name for name in names if not left_out(f"{head}{name}")]


def _remembered_round_at(commit: str) -> PastRound | None:
    """The same as ``_round_at``; what a commit holds never changes, and reading YAML is slow."""
    path = Path(layout.PRIVATE, "cache", f"rounds-{__version__}", f"{commit}.json")
    try:
        known = json.loads(path.read_bytes())
        return PastRound(known["number"], commit, known["lock"]) if known else None
    except (OSError, ValueError, KeyError):
        past = _round_at(commit)
    value = {"number": past.number, "lock": past.lock} if past else {}
    try:
        content = json.dumps(value)
        if json.loads(content) == value:  # a key or value that JSON does not know is read anew each time
            store.write_bytes(path, content.encode())
    except (OSError, TypeError):
        return past  # a read-only checkout is read anew each time
    return past


def _round_at(commit: str) -> PastRound | None:
    content = commands.git_bytes("show", f"{commit}:./{layout.DVC_LOCK}")
    if content is None:
        return None
    return round_of(commit, committed_lock(content), lambda: files_at(commit, layout.MANIFESTS))


def committed_lock(content: bytes) -> dict[str, Any] | None:
    """A dvc.lock out of a commit, None where it cannot be read: nobody can mend it there, the next one may be whole."""
    try:
        return read_dvc(content, layout.DVC_LOCK)
    except ParamsError:
        return None


def round_of(commit: str, lock: dict[str, Any] | None, manifests: Callable[[], Mapping[str, str]]) -> PastRound | None:
    """The round of a commit with this dvc.lock and these manifests (blobs by path), or None where it holds none."""
    if lock is None or not _whole(lock):
        return None
    blobs = manifests()
    if _pinned(lock, layout.MANIFESTS) not in hashes_of_blobs(blobs, layout.MANIFESTS):
        return None
    return PastRound(len(layout.rounds_in(blobs)), commit, lock)


def _pinned(lock: Mapping[str, Any], path: str) -> str | None:
    """DVC's hash of what merge-labels read at ``path``."""
    stages = lock.get("stages") or {}
    deps = stages.get("merge-labels", {}).get("deps", [])
    return next((entry.get("md5") for entry in deps if entry.get("path") == path), None)


def _whole(lock: Mapping[str, Any]) -> bool:
    """Whether every stage of the round is there and read what the others wrote: no repro stopped half way."""
    stages = lock.get("stages") or {}
    if not set(STAGES) <= set(stages):
        return False
    loop = [stages[name] for name in STAGES]
    written = {entry.get("path"): entry.get("md5") for stage in loop for entry in stage.get("outs", [])}
    read = [(entry.get("path"), entry.get("md5")) for stage in loop for entry in stage.get("deps", [])]
    return all(written.get(path, digest) == digest for path, digest in read)


def files_at(commit: str, folder: str) -> dict[str, str]:
    """Blob of every file of a folder at a commit, by path within the folder."""
    listing = commands.git("ls-tree", "-r", "-z", commit, "--", f"{folder}/")
    rows = (row.partition("\t") for row in listing.split("\0") if row)
    return {path.removeprefix(f"{folder}/"): head.split()[2] for head, _, path in rows}


def hashes_of_blobs(blobs: Mapping[str, str], folder: str) -> set[str]:
    """DVC's hash of a folder whose files are these Git blobs, by path within it.

    Without what .dvcignore names today, and with it: at that commit it may have been another.
    """
    known, kept = md5s(blobs.values()), hashed(blobs, folder)
    found = {folder_hash({name: known[blob] for name, blob in blobs.items()})}
    return found if len(kept) == len(blobs) else found | {folder_hash({name: known[blobs[name]] for name in kept})}


def folder_hash(digests: dict[str, str]) -> str:
    """DVC's hash of a folder: MD5 over its files' MD5s, sorted by path within it, as JSON."""
    entries = [{"md5": digests[name], "relpath": name} for name in sorted(digests)]
    return f"{_md5(json.dumps(entries, sort_keys=True).encode())}.dir"


_KNOWN: dict[str, str] = {}


def md5s(blobs: Iterable[str]) -> dict[str, str]:
    """MD5 of Git blobs, each read once, all in one git process."""
    _KNOWN.update({blob: _md5(content) for blob, content in contents(set(blobs) - _KNOWN.keys()).items()})
    return _KNOWN


def contents(blobs: Iterable[str]) -> dict[str, bytes]:
    """Contents of Git blobs, all in one git process."""
    wanted = sorted(set(blobs))
    if not wanted:
        return {}
    said = commands.git_bytes("cat-file", "--batch", content="\n".join(wanted).encode()) or b""
    found, at = dict[str, bytes](), 0
    for blob in wanted:
        line_end = said.index(b"\n", at)
        size = int(said[at:line_end].split()[2])
        found[blob] = said[line_end + 1 : line_end + 1 + size]
        at = line_end + 1 + size + 1
    return found


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
