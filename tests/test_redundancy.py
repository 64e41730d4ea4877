"""A pool of near copies: BatchBALD and PowerBALD resist, BALD falls behind chance.

The pattern of Repeated MNIST (Kirsch et al. 2019) on scikit-learn's digits: every pool image three
times with a little noise, two labels per class at first, logistic regression (C = 10) on the
pixels, 50 heads of its Laplace posterior with a standard normal prior, ten queries a round.
"""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from al_plugin.math.committee import mutual_information
from al_plugin.models.posterior import laplace_heads, mc_log_probs
from al_plugin.strategies.select.baseline import top
from al_plugin.strategies.select.joint import batch_bald
from al_plugin.strategies.select.stochastic import power

ARMS = ("random", "bald", "power_bald", "batch_bald")
COPIES, NOISE, POOL, PASSES, BATCH, CONFIGURATIONS = 3, 0.02, 1198, 50, 10, 1000


def world(seed: int) -> tuple[np.ndarray, ...]:
    """Pool, its labels, test images, theirs, and the first labelled positions."""
    rng = np.random.default_rng(seed)
    images, digits = load_digits(return_X_y=True)
    order = rng.permutation(len(images))
    pool, test = order[:POOL], order[POOL:]
    x = np.repeat(images[pool] / 16, COPIES, axis=0)
    x += rng.normal(size=x.shape) * NOISE
    y = np.repeat(digits[pool], COPIES)
    first = [rng.choice(np.flatnonzero(y == digit), 2, replace=False) for digit in range(10)]
    return x.astype(np.float32), y, (images[test] / 16).astype(np.float32), digits[test], np.concatenate(first)


def picked(arm: str, log_probs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if arm == "batch_bald":
        return batch_bald(log_probs, BATCH, rng, configurations=CONFIGURATIONS)
    bald = mutual_information(log_probs)
    return top(bald, BATCH) if arm == "bald" else power(bald, BATCH, rng)


def area(arm: str, seed: int, until: int) -> float:
    """Mean test accuracy in percent over 20 to ``until`` labels (trapezoids)."""
    x, y, test_x, test_y, first = world(seed)
    rng, labeled, accuracy = np.random.default_rng([seed, 1]), list(first), []
    while True:
        model = LogisticRegression(C=10.0, max_iter=1000, tol=1e-3).fit(x[labeled], y[labeled])
        accuracy.append(100 * model.score(test_x, test_y))
        if len(labeled) >= until:
            return float(np.mean((np.array(accuracy[1:]) + np.array(accuracy[:-1])) / 2))
        candidates = rng.permutation(np.setdiff1d(np.arange(len(x)), labeled))
        if arm == "random":
            labeled += candidates[:BATCH].tolist()
            continue
        weights = {"head.weight": model.coef_.astype(np.float32), "head.bias": model.intercept_.astype(np.float32)}
        heads = laplace_heads(weights, x[labeled], PASSES, rng)
        labeled += candidates[picked(arm, mc_log_probs(x[candidates], heads), rng)].tolist()


def differences(seeds: range, until: int) -> dict[str, np.ndarray]:
    areas = {arm: np.array([area(arm, seed, until) for seed in seeds]) for arm in ARMS}
    print({arm: round(float(values.mean()), 2) for arm, values in areas.items()})
    return {
        "batch_bald - bald": areas["batch_bald"] - areas["bald"],
        "power_bald - bald": areas["power_bald"] - areas["bald"],
        "random - bald": areas["random"] - areas["bald"],
        "batch_bald - random": areas["batch_bald"] - areas["random"],
    }


def test_signs_on_a_pool_of_near_copies() -> None:
    """Three seeds and half of the rounds: only the signs of the means."""
    found = differences(range(1, 4), until=80)
    assert {name: float(d.mean()) > 0 for name, d in found.items()} == dict.fromkeys(found, True)


@pytest.mark.slow
def test_redundancy_triple() -> None:
    """Twelve paired seeds: every 95 % interval of the mean difference lies above 0."""
    for name, d in differences(range(12), until=140).items():
        # Student's t with 11 degrees of freedom: 97.5 % below 2.201.
        margin = 2.201 * d.std(ddof=1) / np.sqrt(len(d))
        print(f"{name}: {d.mean():+.2f} ± {margin:.2f} (sd {d.std(ddof=1):.2f}, {(d > 0).sum()}/{len(d)})")
        assert d.mean() - margin > 0, name
