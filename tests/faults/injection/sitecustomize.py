"""Faults inside a child process of a test: Python imports this at its start where it is on PYTHONPATH.

``AL_FAULT=PROGRAM|KIND|AT`` concerns processes whose command begins with PROGRAM and counts what they do to files of the
folder that they start in: opening to write, renaming, removing, linking, making folders.

- kill: SIGKILL at the AT-th; where that is an opening that empties the file, just after it is empty;
- torn: the AT-th opening that empties a file gets half of its content, up to within a line, then SIGKILL;
- enospc, eacces: from the AT-th on they fail, as on a full disk and in a folder that may not be written;
- cpu: killed after AT seconds of processor time, wherever that is.

``AL_FAULT_LOG`` names a file outside that folder which gets one line per counted event.
"""

import builtins
import errno
import io
import os
import signal
import sys

_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")
_NEED_SPACE = ("open", "os.mkdir", "os.link", "os.symlink")
_WRITES = os.O_WRONLY | os.O_RDWR


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class _Half:
    """A file that keeps what is written, and writes half of it as its last act."""

    def __init__(self, file):
        self._file, self._parts = file, []

    def write(self, part):
        self._parts.append(part)
        return len(part)

    def close(self):
        whole = (b"" if isinstance(self._parts[0], bytes) else "").join(self._parts) if self._parts else None
        if whole:
            self._file.write(whole[: len(whole) // 2].rstrip())  # within a line
        self._file.flush()
        _die()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __getattr__(self, name):
        return getattr(self._file, name)


class _Hook:
    def __init__(self, kind, at, log):
        self.kind, self.at, self.log = kind, at, log
        self.root = os.getcwd() + os.sep
        self.count, self.busy, self.tear = 0, False, False
        if kind == "torn":
            self.open = builtins.open
            builtins.open = io.open = self.opened

    def opened(self, *arguments, **keywords):
        file = self.open(*arguments, **keywords)
        if self.tear:
            self.tear = False
            return _Half(file)
        return file

    def __call__(self, event, arguments):
        if self.busy or not (event == "open" or event in _CHANGES):
            return
        path, empties = arguments[1] if event == "os.rename" else arguments[0], False
        if event == "open":
            flags = arguments[2]
            if not flags & _WRITES:
                return
            empties = bool(flags & os.O_TRUNC)
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        full = os.path.abspath(os.fsdecode(path))
        if not full.startswith(self.root) or "__pycache__" in full:
            return
        if self.kind == "torn" and not empties:
            return
        self.busy = True
        try:
            self.happen(event, full, empties)
        finally:
            self.busy = False

    def happen(self, event, full, empties):
        self.count += 1
        if self.log:
            line = f"{self.count} {event} {int(empties)} {full.removeprefix(self.root)}\n"
            os.write(self.log, line.encode(errors="replace"))
        if self.kind == "kill" and self.count == self.at:
            if empties:
                os.close(os.open(full, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644))
            _die()
        if self.kind == "torn" and self.count == self.at:
            self.tear = True
        if self.kind in ("enospc", "eacces") and self.count >= self.at and event in _NEED_SPACE:
            number = errno.ENOSPC if self.kind == "enospc" else errno.EACCES
            raise OSError(number, os.strerror(number), full)


def _start() -> None:
    program, kind, at = os.environ["AL_FAULT"].split("|")
    if not " ".join(sys.orig_argv[1:]).startswith(program):
        return
    if kind == "cpu":
        signal.setitimer(signal.ITIMER_PROF, float(at))  # nobody handles it, so it kills
        return
    log = os.environ.get("AL_FAULT_LOG")
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if log else None
    sys.addaudithook(_Hook(kind, int(at), number))


if "AL_FAULT" in os.environ:
    _start()
