"""One contestant in a process of its own: time and memory of single runs, on request.

Processes are forked from one that has imported every library, so that each starts at once and clean.
"""

import gc
import os
import sys
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from peer_items.item import Contestant, Item, Run


def resident(field: str) -> float:
    """VmRSS or VmHWM of this process, MiB; NaN where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return float("nan")
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Start VmHWM anew, where the system lets us."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def measured(run: Run, n: int) -> dict[str, Any]:
    """CPU seconds of one run, the most MiB above what was held before it (the result included), the result."""
    gc.collect()
    forget_peak()
    held = resident("VmRSS")
    started = time.process_time()
    result = run(n)
    seconds = time.process_time() - started
    return {"cpu_s": seconds, "mib": max(resident("VmHWM") - held, 0.0), "result": np.asarray(result)}


def serve(item: Item, contestant: Contestant, rows: int, pipe: Connection) -> None:
    """Warm up on tiny inputs, prepare the real ones, then run with each n that comes; None ends it."""
    warnings.simplefilter("ignore")
    quiet = os.open(os.devnull, os.O_WRONLY)  # libraries print
    for stream in (sys.stdout, sys.stderr):
        os.dup2(quiet, stream.fileno())
    try:
        contestant.prepare(item.inputs(item.small_rows))(item.small_n)
        run = contestant.prepare(item.inputs(rows))
        pipe.send({"ready": True})
        while (n := pipe.recv()) is not None:
            pipe.send(measured(run, n))
    except Exception as error:  # noqa: BLE001 - one contestant's failure is its entry in the table
        pipe.send({"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]})
