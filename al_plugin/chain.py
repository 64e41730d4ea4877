"""What Git's history says of label rounds, their manifests and queries: where the chain does not hold."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from al_plugin import commands, history, layout
from al_plugin.documents import read_yaml
from al_plugin.errors import ParamsError

_FOLDERS = (layout.LABELS, layout.LABELS_DVC, layout.MANIFESTS, layout.QUERIES, layout.DVC_LOCK)
_TAKEN = re.compile(rf"{layout.LABELS}/round_(\d+)/query[^/]*\.jsonl")

Blobs = Mapping[str, str]
Rounds = Mapping[str, history.PastRound]


@dataclass(frozen=True)
class Break:
    """A place where the chain does not hold, and what to do about it."""

    found: str
    change: str


@dataclass(frozen=True)
class Step:
    """A commit that touched them: ``changed`` are paths, ``after`` the blob of every file after it, by path."""

    commit: str
    changed: frozenset[str]
    after: Blobs


def steps() -> list[Step]:
    """First-parent commits that touched label rounds, manifests, queries or dvc.lock, oldest first. One git process."""
    if commands.git_bytes("rev-parse", "--verify", "--quiet", "HEAD") is None:
        return []  # nothing is committed yet
    shown = ("--raw", "--no-abbrev", "--no-renames", "-z", "--relative", "--format=%x01%H")
    log = commands.git("log", "--first-parent", "-m", "--reverse", *shown, "HEAD", "--", *_FOLDERS)
    found: list[Step] = []
    blobs: dict[str, str] = {}
    for entry in log.split("\x01")[1:]:
        head, *words = entry.split("\0")
        # `:mode mode blob blob status`, then the path
        changes = [(path, fields.split()[3]) for fields, path in zip(words[::2], words[1::2], strict=False) if fields]
        blobs = {path: blob for path, blob in (blobs | dict(changes)).items() if set(blob) != {"0"}}
        found.append(Step(head.strip(), frozenset(path for path, _ in changes), blobs))
    return found


def rounds_of(history_of: Sequence[Step]) -> dict[str, history.PastRound]:
    """The commits among them that hold a round, oldest first; every lock and every label file is read once.

    A commit whose dvc.lock cannot be read holds none.
    """
    names = {step.commit: step.after.get(layout.DVC_LOCK, "") for step in history_of}
    contents = history.contents(filter(None, names.values()))
    locks = {blob: history.committed_lock(content) for blob, content in contents.items()}
    history.md5s({blob for step in history_of for path, blob in step.after.items() if not path.endswith(".lock")})
    found = dict[str, history.PastRound]()
    for step in history_of:
        if step.changed & {layout.DVC_LOCK} or any(path.startswith(f"{layout.MANIFESTS}/") for path in step.changed):
            lock = locks.get(names[step.commit])
            past = history.round_of(step.commit, lock, partial(_under, step.after, layout.MANIFESTS))
            if past is not None:
                found[step.commit] = past
    return found


def _under(blobs: Blobs, folder: str) -> dict[str, str]:
    """Blob of each file of a folder, by path within it."""
    head = f"{folder}/"
    return {path.removeprefix(head): blob for path, blob in blobs.items() if path.startswith(head)}


def unlike_merged(history_of: Sequence[Step], rounds: Rounds) -> tuple[list[Break], list[Break]]:
    """Label files and manifests that a round had merged and that were altered, and that were deleted, later.

    A change that was put back before the next round and before HEAD is none.
    """
    merged: dict[str, tuple[str, history.PastRound]] = {}
    off: dict[str, str] = {}
    altered: dict[str, Break] = {}
    deleted: dict[str, Break] = {}
    for step in history_of:
        in_dvc = layout.LABELS_DVC in step.after
        for path in sorted(step.changed & merged.keys()):
            here = step.after.get(path)
            # Under DVC, Git has the manifests alone; they promise every byte.
            moved = here is None and in_dvc and path.startswith(f"{layout.LABELS}/")
            if moved or here == merged[path][0]:
                off.pop(path, None)
            else:
                off[path] = step.commit
        if step.commit in rounds or step is history_of[-1]:
            for path, commit in off.items():
                which, done = (altered, "altered") if path in step.after else (deleted, "deleted")
                which.setdefault(path, _undone(path, done, commit[:9], merged[path][1]))
        if step.commit in rounds:
            past = rounds[step.commit]
            for path in sorted(step.after.keys() - merged.keys()):
                if layout.FILED.fullmatch(path):
                    merged[path] = (step.after[path], past)
    return list(altered.values()), list(deleted.values())


def unlike_head(head: Blobs) -> tuple[list[Break], list[Break]]:
    """The same of the working tree against HEAD, whose files are ``head``."""
    words = commands.git(
        "diff", "--name-status", "--no-renames", "-z", "--relative", "HEAD", "--", layout.LABELS, layout.MANIFESTS
    ).split("\0")
    altered, deleted = list[Break](), list[Break]()
    for kind, path in zip(words[::2], words[1::2], strict=False):
        if not layout.FILED.fullmatch(path) or path not in head or kind == "A":
            continue
        if kind != "D":
            altered.append(Break(f"{path} was altered in the working tree", _put_back("HEAD", path)))
        elif not (path.startswith(f"{layout.LABELS}/") and _in_dvc()):
            deleted.append(Break(f"{path} was deleted in the working tree", _put_back("HEAD", path)))
    return altered, deleted


def unlike_locks(history_of: Sequence[Step], rounds: Rounds) -> Iterator[Break]:
    """Rounds whose dvc.lock was written for other label files than those of its commit."""
    for step in history_of:
        past = rounds.get(step.commit)
        if past is None:
            continue
        pinned = {entry["path"]: entry.get("md5") for entry in past.lock["stages"]["merge-labels"].get("deps", [])}
        if layout.LABELS in pinned and pinned[layout.LABELS] not in _labels_hashes(step.after):
            yield Break(
                f"dvc.lock of round {past.number} (commit {step.commit[:9]}) pins other label files than it comes with",
                f"find what changed: git log --stat {step.commit[:9]} -- {layout.LABELS}; then dvc repro and commit",
            )


def queries_handed_out(history_of: Sequence[Step]) -> Iterator[Break]:
    """Filed queries that were altered or deleted and not put back, or answered in another form."""
    filed: dict[str, str] = {}
    off: dict[str, str] = {}
    for step in history_of:
        for path in sorted(path for path in step.changed if layout.HANDED_OUT.fullmatch(path)):
            here = step.after.get(path)
            if here is not None and here == filed.setdefault(path, here):
                off.pop(path, None)
            else:
                off[path] = step.commit
    head = history_of[-1].after if history_of else {}
    for path, commit in off.items():
        yield Break(
            f"{path} was {'altered' if path in head else 'deleted'} by commit {commit[:9]} after it was handed out",
            f"git checkout {commit[:9]}^ -- {path}; `al query withdraw` takes an open query back",
        )
    for path, blob in head.items():
        taken = _TAKEN.fullmatch(path)
        handed_out = {b for name, b in filed.items() if taken and layout.HANDED_OUT.fullmatch(name)[1] == taken[1]}  # type: ignore[index]
        if handed_out and blob not in handed_out:
            yield Break(f"{path} is not the query that was handed out", "answer the query as it was filed")


def _labels_hashes(blobs: Blobs) -> set[str]:
    """DVC's hash of data/labels at a commit, as ``hashes_of_blobs`` has it; none where its pointer cannot be read."""
    if layout.LABELS_DVC in blobs:
        content = commands.git_bytes("cat-file", "blob", blobs[layout.LABELS_DVC])
        try:
            return {str(read_yaml(content or b"", layout.LABELS_DVC)["outs"][0]["md5"])}
        except (ParamsError, TypeError, LookupError):
            return set()  # no pointer that DVC wrote
    return history.hashes_of_blobs(_under(blobs, layout.LABELS), layout.LABELS)


def _in_dvc() -> bool:
    return bool(commands.git("ls-files", "--cached", "--others", "--", layout.LABELS_DVC))


def _undone(path: str, done: str, commit: str, past: history.PastRound) -> Break:
    return Break(
        f"{path} was {done} by commit {commit} after round {past.number} (commit {past.commit[:9]}) had merged it",
        _put_back(past.commit[:9], path),
    )


def _put_back(commit: str, path: str) -> str:
    return f"put it back with git checkout {commit} -- {path}, and correct answers by a batch that supersedes them"
