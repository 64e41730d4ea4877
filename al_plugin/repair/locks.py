"""Locks that a killed DVC or Git leaves behind, told from those that a live one holds."""

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from al_plugin import commands, store
from al_plugin.repair.fault import Fault, set_aside
from al_plugin.waiting import command_line, is_dvc

_DVC = Path(".dvc", "tmp")
_RWLOCK = _DVC / "rwlock"
_GIT_SECONDS = 2.0  # Git holds its index for less, unless it is at work: then a git process is alive


@contextmanager
def dvc_at_rest() -> Iterator[bool]:
    """Keep DVC from writing here, as its own processes do to each other; False if one is writing now.

    DVC empties dvc.lock for an instant each time it writes it, and does so under this lock. It asks
    for it for three seconds, so hold it briefly.
    """
    with ExitStack() as held:
        yield all(_flock(held, path) for path in (_DVC / "lock", _DVC / "rwlock.lock"))


def stale() -> Iterator[Fault]:
    """Faults of DVC's list of who reads and writes what, and of Git's lock on the index."""
    yield from _rwlock()
    yield from _git_index()


def _flock(held: ExitStack, path: Path) -> bool:
    if not path.exists():
        return True  # DVC makes it the first time it runs
    lock = os.open(path, os.O_RDWR)
    held.callback(os.close, lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _rwlock() -> Iterator[Fault]:
    if not _RWLOCK.is_file():
        return
    try:
        entries = json.loads(_RWLOCK.read_bytes())
        kept = _of_the_living(entries)
    except (ValueError, TypeError, KeyError, AttributeError):
        yield Fault(f"{_RWLOCK} was cut off while it was written, so DVC refuses to run", _drop_rwlock)
        return
    dropped = _count(entries) - _count(kept)
    if dropped:
        text = f"{_RWLOCK} holds {dropped} entries of processes that are gone"
        yield Fault(text, partial(_write_rwlock, kept, text))


def _drop_rwlock() -> str:
    return f"{_RWLOCK} was cut off: set aside as {set_aside(_RWLOCK)}; DVC starts a new one"


def _write_rwlock(kept: dict[str, Any], text: str) -> str:
    store.write_bytes(_RWLOCK, json.dumps(kept).encode())
    return f"{text}: removed"


def _of_the_living(entries: Any) -> dict[str, Any]:
    """The entries whose process is alive and a DVC: a process id is given out again."""
    write = {path: info for path, info in entries.get("write", {}).items() if is_dvc(int(info["pid"]))}
    read = {
        path: [info for info in infos if is_dvc(int(info["pid"]))] for path, infos in entries.get("read", {}).items()
    }
    read = {path: infos for path, infos in read.items() if infos}
    return {**({"write": write} if write else {}), **({"read": read} if read else {})}


def _count(entries: dict[str, Any]) -> int:
    return len(entries.get("write", {})) + sum(len(infos) for infos in entries.get("read", {}).values())


def _git_index() -> Iterator[Fault]:
    found = commands.git_bytes("rev-parse", "--git-path", "index.lock")
    lock = Path(found.decode().strip()) if found else None
    if lock is None or not lock.is_file():
        return
    age = time.time() - lock.stat().st_mtime
    if sys.platform != "linux":
        yield Fault(f"{lock} is there: if no git is at work, remove it")
    elif age > _GIT_SECONDS and not _git_at_work():
        yield Fault(f"{lock} was left by a git that is gone", partial(_drop_git_lock, lock))


def _git_at_work() -> bool:
    """Whether any git of this machine works in this repository, or in a folder that cannot be told."""
    top = commands.require_git().resolve()
    for process in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        words = command_line(process)
        if not words or os.path.basename(words[0]) != "git":
            continue
        try:
            if Path(os.readlink(f"/proc/{process}/cwd")).is_relative_to(top):
                return True
        except OSError:
            return bool(command_line(process))
    return False


def _drop_git_lock(lock: Path) -> str:
    return f"{lock} was left by a git that is gone: set aside as {set_aside(lock)}"
