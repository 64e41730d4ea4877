"""Who waits for whom in one clone: locks that end with their process, and one line where a process waits."""

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from al_plugin import layout

# DVC's note of who reads and writes which files; it hashes what a stage read only after the stage has ended.
_DVC_READERS = ".dvc/tmp/rwlock"
_FILED = (layout.LABELS, layout.MANIFESTS, layout.QUERIES)
_PAUSE_S = 0.1


@contextmanager
def alone(name: str, waits_for: str, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock ``name`` of this clone, with others who hold it ``shared``; says so where it has to wait."""
    folder = Path(layout.PRIVATE, "locks")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.lock", "w", encoding="utf-8") as lock:
        take(lock.fileno(), waits_for, shared=shared)
        yield


def take(descriptor: int, waits_for: str, *, shared: bool = False) -> None:
    """Lock an open file, or say what is waited for and wait."""
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"waiting for {waits_for}", file=sys.stderr, flush=True)
        fcntl.flock(descriptor, mode)


@contextmanager
def filing() -> Iterator[None]:
    """Alone among those who file labels or queries, and only while no stage of DVC reads them.

    DVC pins what a stage read by hashing it once more after the stage has ended. A batch filed in between
    would be pinned as merged and never be merged; so it is filed before the stage reads, or after DVC is done.
    """
    said = False
    while True:
        with alone("labels", "another command that files labels or queries, or a stage that reads them"):
            reader = dvc_reader()
            if reader is None:
                yield
                return
        if not said:
            print(f"waiting for {reader}, which reads labels or queries just now", file=sys.stderr, flush=True)
            said = True
        time.sleep(_PAUSE_S)


@contextmanager
def reading() -> Iterator[None]:
    """While a stage reads labels and queries: nobody files any."""
    with alone("labels", "a command that files labels or queries", shared=True):
        yield


def dvc_reader() -> str | None:
    """The DVC process in whose stage labels or queries are read, in words, or None."""
    if "DVC_STAGE" in os.environ:
        return None  # started by that very stage
    try:
        readers: dict[str, Any] = json.loads(Path(_DVC_READERS).read_bytes()).get("read", {})
        for path, infos in readers.items():
            for info in infos if os.path.relpath(path) in _FILED else ():
                if is_dvc(int(info["pid"])):
                    return f"`{info['cmd']}` (process {info['pid']})"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # none has run, or DVC is writing it
    return None


def is_dvc(process: int) -> bool:
    """Whether a live process runs DVC, whose number may have been given out again; off Linux, whether it lives."""
    if sys.platform == "linux":
        return any(os.path.basename(word) == "dvc" or "/dvc/" in word for word in command_line(process))
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def command_line(process: int) -> list[str]:
    """Words of a process's command on Linux; empty for one that is gone or a zombie."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []
