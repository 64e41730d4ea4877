"""One line on the terminal that says how far a long computation is; silent where nobody looks."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Seconds between two changes of the line.
_PAUSE = 0.1
_ERASE = "\r\x1b[K"


@contextmanager
def progress_line(name: str) -> Iterator[Callable[[float, int, float], None] | None]:
    """What to tell of epochs done, epochs in all, and loss; None unless stderr is a terminal and CI is not set.

    The line is erased at the end, so that what the stage prints stands by itself.
    """
    if not sys.stderr.isatty() or os.environ.get("CI"):
        yield None
        return
    line = ProgressLine(name, time.monotonic)
    try:
        yield lambda done, total, loss: _show(line.told(done, total, loss))
    finally:
        _show(_ERASE)


class ProgressLine:
    """The text of the line; a step back in ``done`` is the next fit of the same training."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name, self._clock = name, clock
        self._fit, self._done = 0, float("inf")
        self._begun = self._shown = -float("inf")
        self._first = 0.0

    def told(self, done: float, total: int, loss: float) -> str | None:
        """The line as it is now, or None where it changed just before."""
        now = self._clock()
        if done < self._done:
            self._fit, self._first, self._begun = self._fit + 1, done, now
        self._done = done
        if now - self._shown < _PAUSE:
            return None
        self._shown = now
        which = f" (network {self._fit})" if self._fit > 1 else ""
        text = f"{self._name}{which}: epoch {int(done)}/{total}, loss {loss:.4g}"
        if done > self._first:
            left = (now - self._begun) * (total - done) / (done - self._first)
            text += f", {_duration(left)} left"
        return f"{_ERASE}{text[: shutil.get_terminal_size().columns - 1]}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _show(text: str | None) -> None:
    if text:
        sys.stderr.write(text)
        sys.stderr.flush()
