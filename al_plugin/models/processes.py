"""The other processes of a training on several devices: this stage's script run again, one process a device."""

import atexit
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import torch

from al_plugin import ranks
from al_plugin.errors import ParamsError

Process = subprocess.Popen[bytes]
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
    started: list[tuple[Process, IO[bytes]]] = []
    ended = threading.Event()
    for rank in range(1, devices):
        said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        own = {**os.environ, **place, "LOCAL_RANK": str(rank), ranks.FIRST: str(os.getpid())}
        silent = subprocess.DEVNULL
        started.append((subprocess.Popen(ranks.command(), env=own, stdin=silent, stdout=silent, stderr=said), said))
    atexit.register(_end, started, ended)
    os.environ.update(place)
    threading.Thread(target=_watch, args=(started, ended), daemon=True).start()


def _end(started: list[tuple[Process, IO[bytes]]], ended: threading.Event) -> None:
    ended.set()
    for process, _ in started:
        process.kill()


def _watch(started: list[tuple[Process, IO[bytes]]], ended: threading.Event) -> None:
    """End this process too if another one fails: it may wait for the others for ever."""
    while not ended.wait(0.2):
        for rank, (process, said) in enumerate(started, start=1):
            # Its error may be this process's own, which then says it itself.
            if process.poll() and not ended.wait(1.0):
                said.seek(0)
                lines = said.read().decode(errors="replace").splitlines()
                last = next((line for line in reversed(lines) if line.strip()), f"code {process.returncode}")
                print(f"train: process {rank} of {len(started) + 1} has ended ({last})", file=sys.stderr, flush=True)
                _end(started, ended)
                os._exit(1)
