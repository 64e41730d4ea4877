"""Long trainings that go on where they were killed: what is kept, and when.

One entry for each ``fit`` of a training, numbered in the order of the calls: a training is a pure
function of its task, so that the same call has the same number again. An entry is one safetensors
file with JSON in its header. Reading and writing come from outside.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Protocol

import numpy as np

from al_plugin.schemas import schema

# Arrays by name, and JSON values beside them.
State = dict[str, Any]


class Stateful(Protocol):
    """What a training changes beside its network: taken down between two batches, and set again."""

    def state(self) -> State:
        """Arrays and JSON values by name."""
        ...

    def resume(self, state: State) -> None:
        """Be again what ``state`` was taken from."""
        ...


class Files(Protocol):
    """Where entries lie, by name; ``read`` gives None for a file that is not there, ``write`` is atomic."""

    def read(self, name: str) -> bytes | None:
        """Content of the file, or None."""
        ...

    def write(self, name: str, content: bytes) -> None:
        """Replace the file."""
        ...


class Draws:
    """A NumPy generator whose place in its stream is kept."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def state(self) -> State:
        """The bit generator's state."""
        return {"bits": self._rng.bit_generator.state}

    def resume(self, state: State) -> None:
        """Go on from there."""
        self._rng.bit_generator.state = state["bits"]


class Gathered(dict[str, np.ndarray]):
    """Arrays that a training gathers on its way, by name."""

    def state(self) -> State:
        """The arrays."""
        return dict(self)

    def resume(self, state: State) -> None:
        """Hold these arrays alone."""
        self.clear()
        self.update(state)


class Checkpoints:
    """The entries of one training, written every ``every`` seconds at most.

    A fit that ended since the last writing is held in memory and written along with the next, so
    that at most ``every`` seconds of work are lost, and a short training writes nothing.
    """

    def __init__(self, files: Files, key: str, every: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._files, self._key, self._every, self._clock = files, key, every, clock
        self._written = clock()
        self._ended: dict[int, bytes] = {}
        self._fits = 0

    def next_fit(self) -> tuple[int, State | None]:
        """Number of the fit that begins now, and what is kept of it."""
        number = self._fits
        self._fits += 1
        content = self._files.read(self._name(number))
        return number, None if content is None else unpacked(content)

    def due(self) -> bool:
        """Whether it is time to write."""
        return self._clock() - self._written >= self._every

    def keep(self, number: int, state: State) -> None:
        """Write an entry, and those of fits that ended before it."""
        self._ended[number] = packed(state)
        for ended, content in sorted(self._ended.items()):
            self._files.write(self._name(ended), content)
        self._ended.clear()
        self._written = self._clock()

    def end(self, number: int, state: State) -> None:
        """Note how a fit ended; written when it is time."""
        self._ended[number] = packed(state)
        if self.due():
            self.keep(number, state)

    def _name(self, number: int) -> str:
        return f"{self._key}/fit-{number:04d}.safetensors"


def packed(state: State) -> bytes:
    """One safetensors file: arrays as tensors, everything else as JSON in the header."""
    from safetensors.numpy import save

    arrays = {name: np.asarray(value, order="C") for name, value in state.items() if isinstance(value, np.ndarray)}
    rest = {name: value for name, value in state.items() if not isinstance(value, np.ndarray)}
    content: bytes = save(arrays, {"json": json.dumps({"schema": schema("checkpoint"), "state": rest})})
    return content


def unpacked(content: bytes) -> State | None:
    """The state of a file, or None where it is not whole or has another form: the fit then starts anew."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = {name: np.array(array) for name, array in load(content).items()}
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        kept = json.loads(header["__metadata__"]["json"])
        return {**arrays, **kept["state"]} if kept["schema"] == schema("checkpoint") else None
    except (SafetensorError, ValueError, KeyError, TypeError):
        return None


def under(prefix: str, state: Mapping[str, Any]) -> State:
    """The state with ``prefix`` before each name."""
    return {f"{prefix}.{name}": value for name, value in state.items()}


def part(state: Mapping[str, Any], prefix: str) -> State:
    """What ``under`` put there."""
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}


def content_key(*values: Any) -> str:
    """Hash of arrays, dataclasses, mappings and plain values by content; 32 hex digits."""
    digest = hashlib.sha256()
    _hash(values, digest.update)
    return digest.hexdigest()[:32]


def _hash(value: Any, update: Callable[[bytes | memoryview], None]) -> None:
    if isinstance(value, np.ndarray):
        update(f"{value.dtype}{value.shape}".encode())
        update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    elif is_dataclass(value):
        _hash({f.name: getattr(value, f.name) for f in fields(value) if f.metadata.get("result", True)}, update)
    elif isinstance(value, Mapping):
        _hash([(name, value[name]) for name in sorted(value)], update)
    elif isinstance(value, list | tuple):
        update(f"[{len(value)}".encode())
        for item in value:
            _hash(item, update)
    else:
        update(f"{type(value).__name__}{value!r};".encode())
