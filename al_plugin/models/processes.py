"""The other processes of a training on several devices: this stage's script run again, one process a device."""

import atexit
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import torch

from al_plugin import ranks
from al_plugin.errors import ParamsError

# What Fabric reads of a process's place among the others.
_NAMES = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@contextmanager
def others(devices: int) -> Iterator[None]:
    """Start the others and meet them in the block; environment and threads are as before afterwards.

    The others die with this process. ParamsError where a stage does not run, or runs under a launcher.
    """
    threads = torch.get_num_threads()
    before = {name: os.environ.get(name) for name in (*_NAMES, "OMP_NUM_THREADS")}
    if ranks.is_first():
        _start(devices)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _start(devices: int) -> None:
    from lightning_fabric.plugins.environments.lightning import find_free_network_port

    if "LOCAL_RANK" in os.environ:
        raise ParamsError(
            f"train.devices {devices} starts its processes itself, and LOCAL_RANK is set: a launcher runs",
            change="run dvc repro without the launcher, or set train.devices to 1",
        )
    if not ranks.command():
        raise ParamsError(
            f"train.devices {devices} starts the stage train once per device, and no stage runs here",
            change="run dvc repro, or set train.devices to 1",
        )
    place = {"NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port())}
    place |= {"WORLD_SIZE": str(devices), "LOCAL_RANK": "0"}
    started: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
    for rank in range(1, devices):
        said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        own = {**os.environ, **place, "LOCAL_RANK": str(rank), ranks.FIRST: str(os.getpid())}
        silent = subprocess.DEVNULL
        process = subprocess.Popen(ranks.command(), env=own, stdin=silent, stdout=silent, stderr=said)
        atexit.register(process.kill)
        started.append((process, said))
    os.environ.update(place)
    threading.Thread(target=_watch, args=(started,), daemon=True).start()


def _watch(started: list[tuple[subprocess.Popen[bytes], IO[bytes]]]) -> None:
    """End this process too if another one fails: it may wait for the others for ever."""
    running = True
    while running:
        time.sleep(0.2)
        running = any([process.poll() is None for process, _ in started])  # noqa: C419 - asks them all
        for rank, (process, said) in enumerate(started, start=1):
            if process.returncode:
                time.sleep(1.0)  # its error may be this process's own, which then says it itself
                said.seek(0)
                lines = said.read().decode(errors="replace").split("\n")
                last = next((line for line in reversed(lines) if line.strip()), f"code {process.returncode}")
                print(f"train: process {rank} of {len(started) + 1} has ended ({last})", file=sys.stderr, flush=True)
                for one, _ in started:
                    one.kill()
                os._exit(1)
