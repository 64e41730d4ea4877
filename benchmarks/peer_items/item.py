"""What a benchmark item is: inputs, contestants, and how results must agree."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from al_plugin.strategies import registry

Array = np.ndarray
Inputs = Mapping[str, Array]
Run = Callable[[int], Any]


def same(result: Array) -> Array:
    """What the contestant returns is already in our terms."""
    return np.asarray(result)


@dataclass(frozen=True)
class Contestant:
    """One way to do an item.

    ``prepare`` brings the inputs into its own form (not timed) and returns a function of the batch size.
    ``kind``: ours; peer, a library; plain, the formula written in NumPy or torch; wrong, a peer that does
    another thing (its time is shown, and counts for nothing). ``checked`` says that results must agree.
    ``share`` is the part of the rows it gets and ``sizes`` are two batch sizes: its time is extrapolated from
    them, which the table marks (x).
    """

    name: str
    prepare: Callable[[Inputs], Run]
    kind: str = "peer"
    library: str = ""
    as_ours: Callable[[Any], Array] = same
    share: float = 1.0
    sizes: tuple[int, int] | None = None
    note: str = ""
    checked: bool = True


@dataclass(frozen=True)
class Work:
    """The least an item must do: bytes read, floating-point operations in products, logarithms."""

    read: float = 0.0
    flop: float = 0.0
    logs: float = 0.0


@dataclass(frozen=True)
class Goal:
    """At least ``faster`` times the fastest peer; at most ``above`` times the hardware limit; MiB above the inputs."""

    faster: float | None = None
    above: float | None = None
    mib: float | None = None


@dataclass(frozen=True)
class Item:
    """One row of the table. ``inputs(rows)`` builds arrays; ``n`` and ``small_n`` are batch sizes.

    ``agree``: scores (close numbers), picks (the same order), batch (n distinct positions) or larger (at least
    the peer's objective ``quality``, less a part ``slack``).
    """

    key: str
    title: str
    inputs: Callable[[int], dict[str, Array]]
    rows: int
    small_rows: int
    contestants: tuple[Contestant, ...]
    work: Callable[[int], Work]
    goal: Goal = field(default_factory=Goal)
    n: int = 0
    small_n: int = 0
    agree: str = "scores"
    quality: Callable[[Inputs, Array], float] | None = None
    slack: float = 0.05


def our_score(name: str, *, title: str = "ours", **knobs: Any) -> Contestant:
    """Our score strategy, through the registry."""

    def prepare(inputs: Inputs) -> Run:
        found = registry.load("score", name)
        signals = [inputs[signal] for signal in found.signals]
        return lambda _: found.function(*signals, **knobs)

    return Contestant(title, prepare, kind="ours")


def our_select(name: str, *, title: str = "ours", **knobs: Any) -> Contestant:
    """Our select strategy, through the registry; one random generator from seed 0 per run."""

    def prepare(inputs: Inputs) -> Run:
        found = registry.load("select", name)
        handed = set(inspect.signature(found.function).parameters)
        signals = {signal: inputs[signal] for signal in found.signals}

        def run(n: int) -> Array:
            random = {"rng": np.random.default_rng(0)} if "rng" in handed else {}
            picks: Array = found.function(**signals, n=n, **random, **knobs)
            return picks

        return run

    return Contestant(title, prepare, kind="ours")


def log_probs(*shape: int, seed: int = 0, sharpness: float = 3.0) -> Array:
    """Log-probabilities of a fairly sure model, float32; the first rows do not depend on how many follow."""
    logits = np.random.default_rng(seed).standard_normal(size=shape, dtype=np.float32)
    logits *= np.float32(sharpness)
    flat = logits.reshape(-1, shape[-1])
    for start in range(0, len(flat), 100_000):
        rows = flat[start : start + 100_000]
        rows -= rows.max(axis=1, keepdims=True)
        rows -= np.log(np.exp(rows).sum(axis=1, keepdims=True))
    return logits


def mixture(rows: int, dim: int, seed: int = 1, centers: int = 50) -> Array:
    """Points of a Gaussian mixture, float32."""
    rng = np.random.default_rng(seed)
    middle = rng.standard_normal(size=(centers, dim), dtype=np.float32) * 2
    points = rng.standard_normal(size=(rows, dim), dtype=np.float32)
    which = np.random.default_rng(seed + 1).integers(centers, size=rows)
    for start in range(0, rows, 100_000):
        points[start : start + 100_000] += middle[which[start : start + 100_000]]
    return points
