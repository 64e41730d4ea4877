"""What a branch did to the label rounds since its base: files may be added, never edited or deleted."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from al_plugin import commands, layout, ledger
from al_plugin.data.answers import digest
from al_plugin.documents import read_dvc
from al_plugin.errors import CampaignError

_TAKEN = re.compile(rf"{layout.MANIFESTS}/round_(\d+)/query[^/]*\.json")
_BATCH = re.compile(rf"{layout.MANIFESTS}/round_(\d+)/(b.+)\.json")
_FOLDERS = (layout.LABELS, layout.MANIFESTS, layout.QUERIES)


@dataclass(frozen=True)
class Changes:
    """Against ``base``, a commit: new batches as (round, file name), and what is not in order."""

    base: str
    batches: frozenset[tuple[int, str]]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def since(revision: str | None) -> Changes:
    """Changes of the working tree since it left ``revision`` (default: origin's main branch, else HEAD)."""
    base = merge_base(revision)
    status = dict(_changed(base))
    batches = [_BATCH.fullmatch(path) for path, kind in status.items() if kind == "A"]
    return Changes(
        base,
        frozenset((int(found[1]), f"{found[2]}.csv") for found in batches if found),
        (*_edited(base, status), *_queries(base, status)),
        tuple(_notes(base)),
    )


def merge_base(revision: str | None) -> str:
    """The commit where HEAD left ``revision``."""
    if revision is None:
        known = commands.git_bytes("rev-parse", "--verify", "--quiet", "origin/HEAD")
        revision = "HEAD" if known is None else "origin/HEAD"
    found = None if revision.startswith("-") else commands.git_bytes("merge-base", revision, "HEAD")
    if found is None:
        raise CampaignError(
            f"HEAD and {revision} have no commit in common here",
            change="name a base that is there, and fetch the whole history (fetch-depth: 0)",
        )
    return found.decode().strip()


def at(base: str, path: str) -> bytes | None:
    """Content of a file of the campaign at a commit, or None."""
    return commands.git_bytes("show", f"{base}:./{path}")


def _changed(base: str) -> Iterator[tuple[str, str]]:
    """(path, A, M, D or T) of every file in the folders of labels, those not yet told to Git as added."""
    yield from commands.changes(base, *_FOLDERS).items()
    new = commands.git("ls-files", "--others", "--exclude-standard", "-z", "--", *_FOLDERS)
    yield from ((path, "A") for path in new.split("\0") if path)


def links() -> Iterator[str]:
    """A line for each link or device among the labels: it would make the check, or a round, read something else.

    The folders themselves and the one they lie in may be links too; what those lead to is not looked through.
    """
    roots = dict.fromkeys(path for name in _FOLDERS for path in (Path(name).parent, Path(name)))
    odd = [path for path in roots if _is_odd(path)]
    if not odd:
        odd = [path for name in _FOLDERS for path in _within(name) if _is_odd(path)]
    yield from (f"{path.as_posix()} is a link or a device; file answers with `al labels add FILE`" for path in odd)


def _within(folder: str) -> Iterator[Path]:
    for where, folders, files in os.walk(folder):
        yield from (Path(where, name) for name in (*folders, *files))


def _is_odd(path: Path) -> bool:
    return path.is_symlink() or (path.exists() and not (path.is_file() or path.is_dir()))


def _edited(base: str, status: dict[str, str]) -> Iterator[str]:
    moved = ledger.labels_in_dvc()
    for path, kind in sorted(status.items()):
        if kind == "A" or not layout.FILED.fullmatch(path):
            continue
        # Moved under DVC, Git shows them as deleted; the manifests still promise every byte.
        if kind == "D" and moved and path.startswith(f"{layout.LABELS}/"):
            continue
        what = "deleted" if kind == "D" else "edited"
        yield (
            f"{path} was {what} after it was filed; put it back with git checkout {base[:12]} -- {path} "
            "and file a correction that supersedes it"
        )


def _queries(base: str, status: dict[str, str]) -> Iterator[str]:
    """Queries are asked as they were handed out: files are added, and a label round answers what the base opened."""
    for path, kind in sorted(status.items()):
        handed_out, taken = layout.HANDED_OUT.fullmatch(path), _TAKEN.fullmatch(path)
        if handed_out and kind == "D":
            yield f"{path} was deleted; `al query withdraw` sets an open query aside"
        elif handed_out and kind != "A":
            yield f"the query of round {int(handed_out[1])} is not the one that was handed out; put back {path}"
        elif taken and kind == "A":
            number = int(taken[1])
            opened = [digest(at(base, query) or b"") for query in _opened(base, number)]
            if opened and ledger.manifest(Path(path))["sha256"] not in opened:
                yield f"the query of round {number} is not the one that was handed out; answer that of {base[:12]}"


def _opened(base: str, number: int) -> list[str]:
    """Paths of the queries that were handed out for a label round at a commit."""
    listed = commands.git("ls-tree", "--name-only", "-z", base, "--", f"{layout.QUERIES}/").split("\0")
    found = [(path, layout.HANDED_OUT.fullmatch(path)) for path in listed]
    return [path for path, match in found if match and int(match[1]) == number]


def _notes(base: str) -> Iterator[str]:
    for path, what in (
        (layout.SUITE, "batches were judged by the expectations of the base"),
        (layout.PARAMS, "read its changes too"),
        (layout.DVC_LOCK, "a round is run after the merge, so a branch of labels need not have one"),
    ):
        now = Path(path).read_bytes() if Path(path).is_file() else None
        if at(base, path) not in (now, None):
            yield f"{path} is changed by this branch; {what}"


def unpinned(base: str, number: int, query: bytes) -> bool:
    """Whether no dvc.lock, the base's or this one, knows the query that a new round answers."""
    now = Path(layout.DVC_LOCK)
    locks = [content for content in (at(base, layout.DVC_LOCK), now.read_bytes() if now.is_file() else None) if content]
    if not locks or _opened(base, number):
        return False
    md5 = hashlib.md5(query, usedforsecurity=False).hexdigest()
    return all(md5 != _pinned(lock) for lock in locks)


def _pinned(lock: bytes) -> str | None:
    stages = read_dvc(lock, layout.DVC_LOCK).get("stages") or {}
    outs = stages.get("select", {}).get("outs", [])
    return next((entry.get("md5") for entry in outs if entry.get("path") == layout.QUERY), None)
