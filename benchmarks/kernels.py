"""Scoring and selection kernels beside the formula written plainly in NumPy, on the same arrays.

    python benchmarks/kernels.py [--small] [--out benchmarks/results/kernels.json]

One thread, interleaved, best of five by CPU seconds; memory is the peak that tracemalloc sees above the
inputs. The plain form is the reference for results too: the benchmark stops where they differ.
"""

import argparse
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from al_plugin.math import committee, information
from al_plugin.math.expected_change import expected_gradient_length
from al_plugin.math.geometry import farthest_first
from al_plugin.math.gradient_sampling import factored_d2_sampling, predicted_residual
from al_plugin.strategies.score import uncertainty
from al_plugin.strategies.score.contrastive import cal

REPEATS = 5
Array = np.ndarray


def predictions(*shape: int) -> Array:
    logits = np.random.default_rng(0).normal(size=shape).astype(np.float32) * 3
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return logits


def plain_entropy(log_probs: Array) -> Array:
    p = np.exp(log_probs)
    return -(p * log_probs).sum(axis=1)


def plain_margin(log_probs: Array) -> Array:
    ordered = np.sort(np.exp(log_probs), axis=1)
    return ordered[:, -2] - ordered[:, -1]


def plain_least_confidence(log_probs: Array) -> Array:
    return -log_probs.max(axis=1)


def plain_bald(log_probs: Array) -> Array:
    p = np.exp(log_probs)
    mean = p.mean(axis=0)
    return -(mean * np.log(mean)).sum(axis=1) + (p * log_probs).sum(axis=2).mean(axis=0)


def plain_mean_std(log_probs: Array) -> Array:
    return np.exp(log_probs).std(axis=0).mean(axis=1)


def plain_variation_ratio(log_probs: Array) -> Array:
    votes = log_probs.argmax(axis=2)
    counts = np.stack([(votes == c).sum(axis=0) for c in range(log_probs.shape[2])])
    return 1 - counts.max(axis=0) / len(log_probs)


def plain_cal(log_probs: Array, points: Array, their_log_probs: Array, theirs: Array) -> Array:
    """Ten neighbours from one matrix of squared distances, and KL of each, in blocks of 2,000 rows."""
    scores = []
    for start in range(0, len(points), 2000):
        x, q = points[start : start + 2000], log_probs[start : start + 2000]
        squared = (x**2).sum(axis=1, keepdims=True) + (theirs**2).sum(axis=1) - 2 * x @ theirs.T
        p = their_log_probs[np.argpartition(squared, 9, axis=1)[:, :10]]
        scores.append((np.exp(p) * (p - q[:, None])).sum(axis=2).mean(axis=1))
    return np.concatenate(scores)


def plain_egl(log_probs: Array, hidden: Array) -> Array:
    """In double precision: ‖p‖² - 2 p_y + 1 cancels to noise in single."""
    p = np.exp(log_probs.astype(np.float64))
    norm = np.sqrt(np.maximum((p**2).sum(axis=1, keepdims=True) - 2 * p + 1, 0))
    return np.sqrt((hidden**2).sum(axis=1) + 1) * (p * norm).sum(axis=1)


def plain_kcenter(points: Array, n: int) -> Array:
    """One full distance column per pick."""
    first = int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmin())
    picks, nearest = [first], ((points - points[first]) ** 2).sum(axis=1)
    while len(picks) < n:
        picks.append(int(nearest.argmax()))
        np.minimum(nearest, ((points - points[picks[-1]]) ** 2).sum(axis=1), out=nearest)
    return np.array(picks)


def plain_badge(log_probs: Array, hidden: Array, n: int) -> Array:
    """k-means++ on the gradients, formed."""
    p = np.exp(log_probs.astype(np.float64))
    p[np.arange(len(p)), p.argmax(axis=1)] -= 1
    extended = np.concatenate([hidden, np.ones((len(hidden), 1))], axis=1)
    g = (p[:, :, None] * extended[:, None, :]).reshape(len(p), -1)
    rng = np.random.default_rng(0)
    picks = [int((g**2).sum(axis=1).argmax())]
    nearest = ((g - g[picks[0]]) ** 2).sum(axis=1)
    while len(picks) < n:
        mass = np.cumsum(nearest)
        picks.append(int(np.searchsorted(mass, rng.random() * mass[-1], side="right")))
        np.minimum(nearest, ((g - g[picks[-1]]) ** 2).sum(axis=1), out=nearest)
    return np.array(picks)


def our_badge(log_probs: Array, hidden: Array, n: int) -> Array:
    return factored_d2_sampling(predicted_residual(log_probs), hidden, n, np.random.default_rng(0), sequential=True)


def cpu(work: Callable[[], Array]) -> tuple[float, Array]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def peak(work: Callable[[], Array]) -> float:
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 2**20


def compare(name: str, ours: Callable[[], Array], plain: Callable[[], Array], *, exact: bool) -> dict[str, object]:
    best_ours = best_plain = float("inf")
    for _ in range(REPEATS):
        seconds, result = cpu(ours)
        best_ours = min(best_ours, seconds)
        seconds, expected = cpu(plain)
        best_plain = min(best_plain, seconds)
    if exact:
        np.testing.assert_array_equal(result, expected, err_msg=name)
    else:
        np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4, err_msg=name)
    return {
        "item": name,
        "ours_cpu_s": round(best_ours, 5),
        "plain_cpu_s": round(best_plain, 5),
        "ratio": round(best_plain / best_ours, 2),
        "ours_peak_mib": round(peak(ours), 1),
        "plain_peak_mib": round(peak(plain), 1),
    }


def gradient_length(scale: int) -> dict[str, object]:
    hidden = np.random.default_rng(1).normal(size=(50_000 // scale, 512)).astype(np.float32)
    lp = predictions(50_000 // scale, 10)
    return compare(
        "EGL 5e4x512x10", lambda: expected_gradient_length(lp, hidden), lambda: plain_egl(lp, hidden), exact=False
    )


def contrastive(scale: int) -> dict[str, object]:
    rng = np.random.default_rng(3)
    points, theirs = (rng.normal(size=(n, 128)).astype(np.float32) for n in (50_000 // scale, 1000))
    lp, their_lp = predictions(50_000 // scale, 10), predictions(1000, 10)
    return compare(
        "CAL 5e4x128, 1000 labelled, 10 neighbours",
        lambda: cal(lp, points, their_lp, theirs),
        lambda: plain_cal(lp, points, their_lp, theirs),
        exact=False,
    )


def rows(scale: int) -> list[dict[str, object]]:
    narrow, wide = predictions(1_000_000 // scale, 10), predictions(100_000 // scale, 1000)
    found = []
    for label, lp in (("1e6x10", narrow), ("1e5x1000", wide)):
        pairs = (
            ("entropy", information.entropy, plain_entropy),
            ("margin", uncertainty.margin, plain_margin),
            ("least confidence", uncertainty.least_confidence, plain_least_confidence),
        )
        for name, ours, plain in pairs:
            found.append(compare(f"{name} {label}", lambda f=ours, x=lp: f(x), lambda f=plain, x=lp: f(x), exact=False))
    mc = predictions(20, 100_000 // scale, 10)
    committees = (
        ("BALD", committee.mutual_information, plain_bald),
        ("mean std", committee.mean_deviation, plain_mean_std),
        ("variation ratio", committee.variation_ratio, plain_variation_ratio),
    )
    for name, ours, plain in committees:
        found.append(compare(f"{name} 20x1e5x10", lambda f=ours: f(mc), lambda f=plain: f(mc), exact=False))
    found.append(gradient_length(scale))
    found.append(contrastive(scale))
    hidden = np.random.default_rng(1).normal(size=(10_000 // scale, 128)).astype(np.float32)
    lp = predictions(10_000 // scale, 10)
    points = np.random.default_rng(2).normal(size=(50_000 // scale, 128))
    none = points[:0]
    found.append(
        compare(
            "k-center 5e4x128, 100 picks",
            lambda: farthest_first(points, none, 100)[0],
            lambda: plain_kcenter(points, 100),
            exact=True,
        )
    )
    found.append(
        compare(
            "BADGE 1e4x128x10, 50 picks",
            lambda: our_badge(lp, hidden, 50),
            lambda: plain_badge(lp, hidden, 50),
            exact=True,
        )
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a hundredth of the size: correctness only")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with threadpool_limits(1):
        table = rows(100 if arguments.small else 1)
    for row in table:
        print("  ".join(f"{key}={value}" for key, value in row.items()))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
