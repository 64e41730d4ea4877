"""Work in several processes: results as they come, and no process outlives the one that asked.

Processes are started afresh (spawn), since a forked copy of a process with threads may hang. Each works
with one thread. Nothing is written here: the asking process alone keeps results.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from al_plugin.errors import AlError


@dataclass(frozen=True)
class Outcome:
    """What became of one item: its result, or the message of its failure."""

    item: Any
    result: Any = None
    failure: str = ""


@dataclass
class _Worker:
    process: SpawnProcess
    line: Connection
    item: Any


Work = Callable[[Any, Any], Any]


def outcomes(work: Work, shared: Any, items: Sequence[Any], jobs: int) -> Iterator[Outcome]:
    """``work(shared, item)`` for every item, at most ``jobs`` at once, as they end.

    An exception is a failure of its item alone, and so is the death of a process. ``jobs`` 1 works in
    this process. ``work`` is a function of a module, ``shared`` and items can be pickled.
    """
    if jobs == 1 or len(items) < 2:
        yield from (_attempt(work, shared, item) for item in items)
        return
    waiting, workers = list(reversed(items)), []
    try:
        workers = [_start(work, shared, waiting.pop()) for _ in range(min(jobs, len(items)))]
        while workers:
            # A process that dies closes its line, which makes it ready.
            for line in wait([worker.line for worker in workers]):
                worker = next(w for w in workers if w.line is line)
                outcome, alive = _heard(worker)
                if not (alive and waiting and _told(worker, waiting[-1])):
                    workers.remove(worker)
                    _stop(worker)
                    if waiting:
                        workers.append(_start(work, shared, waiting[-1]))
                if waiting:
                    waiting.pop()
                yield outcome
    finally:
        for worker in workers:
            _stop(worker)


def _heard(worker: _Worker) -> tuple[Outcome, bool]:
    """What a worker said of its item, and whether it is alive."""
    try:
        result, failure = worker.line.recv()
    except (EOFError, ConnectionError):
        worker.process.join()
        code = worker.process.exitcode
        why = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        worker.line.close()
        return Outcome(worker.item, failure=f"its process ended with {why}"), False
    return Outcome(worker.item, result, failure), True


def _told(worker: _Worker, item: Any) -> bool:
    """Give a worker its next item; False where it died after its last result."""
    try:
        worker.line.send(item)
    except OSError:
        return False
    worker.item = item
    return True


def _start(work: Work, shared: Any, item: Any) -> _Worker:
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=_serve, args=(its, work, shared), daemon=True)
    process.start()
    its.close()
    with suppress(OSError):  # one that is dead already is heard of like one that dies later
        mine.send(item)
    return _Worker(process, mine, item)


def _stop(worker: _Worker) -> None:
    worker.line.close()
    worker.process.terminate()
    worker.process.join()


def _serve(line: Connection, work: Work, shared: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the asking process is told, and ends this one
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):
        while True:
            outcome = _attempt(work, shared, line.recv())
            line.send((outcome.result, outcome.failure))


def _attempt(work: Work, shared: Any, item: Any) -> Outcome:
    from threadpoolctl import threadpool_limits

    try:
        with threadpool_limits(1):
            return Outcome(item, work(shared, item))
    except AlError as error:
        return Outcome(item, failure=str(error))
    except Exception as error:  # noqa: BLE001  (a strategy may raise anything, and the others go on)
        return Outcome(item, failure=f"{type(error).__name__}: {error}".splitlines()[0])


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
