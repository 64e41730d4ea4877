"""What one core can do at best: bytes read, products and logarithms per second."""

import time
from collections.abc import Callable

import numpy as np

from peer_items.item import Work


def _best(work: Callable[[], object], repeats: int = 7) -> float:
    work()
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def rates() -> dict[str, float]:
    """Measured by CPU time on one thread: read GB/s, sgemm GFLOP/s, log of float32 in cache G/s."""
    long = np.ones(100_000_000, dtype=np.float32)
    read = long.nbytes / _best(lambda: np.dot(long, long), 5) / 1e9
    square = np.random.default_rng(0).random(size=(2048, 2048), dtype=np.float32)
    out = np.empty_like(square)
    gemm = 2 * 2048**3 / _best(lambda: np.matmul(square, square, out=out)) / 1e9
    short = np.random.default_rng(1).random(size=16_384, dtype=np.float32) + 0.1
    logs = np.empty_like(short)

    def many() -> None:
        for _ in range(1000):
            np.log(short, out=logs)

    return {"read_gb_s": read, "sgemm_gflop_s": gemm, "log_g_s": 16_384_000 / _best(many) / 1e9}


def limit(work: Work, rate: dict[str, float]) -> float:
    """The seconds that no code on this core can beat."""
    return max(work.read / rate["read_gb_s"], work.flop / rate["sgemm_gflop_s"], work.logs / rate["log_g_s"]) / 1e9
