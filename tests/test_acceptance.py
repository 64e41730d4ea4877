"""Does it pay? Published signs on real data, with paired seeds, through the stages' own functions."""

import numpy as np
import pytest
from loop import accuracies, aubc
from scipy import stats

SEEDS = range(12)


@pytest.fixture(scope="module")
def curves() -> dict[str, list[list[float]]]:
    """Accuracy on digits from 20 shared random labels in steps of 20 to 180, 12 seeds."""
    return {r: [accuracies(r, s, start=20, n=20, queries=8) for s in SEEDS] for r in ("margin", "random")}


def test_margin_beats_random_on_digits(curves: dict[str, list[list[float]]]) -> None:
    """The 95 % interval of the paired difference in AUBC lies above 0 (Scheffer 2001 and many since)."""
    difference = np.array([aubc(m) - aubc(r) for m, r in zip(curves["margin"], curves["random"], strict=True)]) * 100
    interval = stats.t.interval(0.95, len(difference) - 1, difference.mean(), stats.sem(difference))
    print(f"margin - random, AUBC points: {difference.mean():.2f} [{interval[0]:.2f}, {interval[1]:.2f}]")
    assert interval[0] > 0


def test_arms_start_from_the_same_model(curves: dict[str, list[list[float]]]) -> None:
    """Pairing: the first point of a seed is equal in both arms."""
    assert [c[0] for c in curves["margin"]] == [c[0] for c in curves["random"]]


def test_the_same_seed_gives_the_same_curve(curves: dict[str, list[list[float]]]) -> None:
    assert accuracies("margin", 3, start=20, n=20, queries=8) == curves["margin"][3]


@pytest.mark.slow
def test_typiclust_beats_random_at_cold_start() -> None:
    """The first 20 labels, chosen by TypiClust or at random: 12 paired seeds (Hacohen 2022, sign)."""
    gains = []
    for seed in SEEDS:
        chosen = accuracies("auto", seed, start=0, n=20, queries=1)
        drawn = accuracies("random", seed, start=0, n=20, queries=1)
        gains.append(chosen[0] - drawn[0])
    print(
        f"TypiClust - random, accuracy at 20 labels: {100 * np.mean(gains):.1f} points, {sum(g > 0 for g in gains)}/12"
    )
    assert stats.ttest_1samp(gains, 0, alternative="greater").pvalue < 0.01
