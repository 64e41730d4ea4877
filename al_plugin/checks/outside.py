"""What a strategy must neither change nor depend on: the process it happens to run in."""

import builtins
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np


@contextmanager
def kept_generators() -> Iterator[None]:
    """Put the global generators of NumPy, Python and torch (if imported) back afterwards."""
    numpy_state, python_state, torch_state = generator_states()
    try:
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002 - the legacy generator is the one to protect
        random.setstate(python_state)
        if torch_state is not None:
            sys.modules["torch"].set_rng_state(torch_state)


def generator_states() -> tuple[Any, Any, Any]:
    """States of the global generators of NumPy, Python and torch (None unless imported)."""
    torch = sys.modules.get("torch")
    legacy = np.random.get_state()  # noqa: NPY002 - as above
    return legacy, random.getstate(), None if torch is None else torch.get_rng_state()


def changed_generators(before: tuple[Any, Any, Any], after: tuple[Any, Any, Any]) -> list[str]:
    """Names of the generators whose state changed."""
    changed = []
    if before[0][2:] != after[0][2:] or not np.array_equal(before[0][1], after[0][1]):
        changed.append("numpy.random")
    if before[1] != after[1]:
        changed.append("random")
    # A generator that came to be with torch's import has no state to compare with.
    if before[2] is not None and not bool((before[2] == after[2]).all()):
        changed.append("torch")
    return changed


def seed_generators(seed: int) -> None:
    """Set the global generators of NumPy, Python and torch (if imported)."""
    np.random.seed(seed)  # noqa: NPY002 - the legacy generator must not matter, so it is moved
    random.seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


@contextmanager
def another_process() -> Iterator[None]:
    """Clock and ``hash()`` as another process would see them: an hour later, another hash seed."""
    plain_hash, plain_time, plain_ns, plain_counter = hash, time.time, time.time_ns, time.perf_counter

    def other_hash(value: object) -> int:
        return plain_hash((plain_hash(value), 0x5DEECE66D))

    with (
        patch.object(builtins, "hash", other_hash),
        patch.object(time, "time", lambda: plain_time() + 3600.0),
        patch.object(time, "time_ns", lambda: plain_ns() + 3_600_000_000_123),
        patch.object(time, "perf_counter", lambda: plain_counter() + 3600.0),
    ):
        yield
