"""How ProbCover's radius is estimated, and what it is worth: cold start of 10 to 60 labels beside random labels.

    python benchmarks/cover_radius.py [--data FOLDER] [--seeds 6]

Digits, and with FOLDER mnist.npz, fashion_mnist.npz (test images as 40 principal components), letter.parquet. Of each
seed's pool (4,000 at most) 10 samples are picked at a time, a logistic regression learns them and is measured on 2,000
others. "strict" is the paper's rule: the largest radius at which a share of the balls holds one pseudo-label only.
"""

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from acceptance import images

from al_plugin.math.ball_cover import greedy_balls, pure_radius
from al_plugin.math.clustering import kmeans
from al_plugin.math.comparison import paired
from al_plugin.math.geometry import nearest_center, squared_distances
from al_plugin.math.submodular import unit_rows

Radius = Callable[[np.ndarray, np.ndarray], float]
STEP, STEPS, POOL, ASIDE = 10, 6, 4_000, 2_000


def strict(points: np.ndarray, groups: np.ndarray, share: float = 0.95) -> float:
    """A ball is pure up to the nearest point of another group: a quantile of those distances."""
    centres = np.unique(np.linspace(0, len(points) - 1, min(len(points), 1_000)).astype(int))
    squared = squared_distances(points[centres], points)
    squared[groups[centres][:, None] == groups[None, :]] = np.inf
    gaps = np.sort(np.sqrt(squared.min(axis=1)))
    return float(gaps[min(int((1 - share) * len(gaps)), len(gaps) - 1)])


def mean(share: float) -> Radius:
    return lambda points, groups: pure_radius(points, groups, share)


# By name: the rule, and the clusters of k-means; 0: one for each label so far and in the batch.
ARMS: dict[str, tuple[Radius, int]] = {
    "strict .95, K = L + n": (strict, 0),
    "strict .95, K = 10": (strict, 10),
    "mean .9, K = 10 (the default)": (mean(0.9), 10),
    "mean .8, K = 10": (mean(0.8), 10),
    "mean .95, K = 10": (mean(0.95), 10),
    "mean .9, K = 5": (mean(0.9), 5),
    "mean .9, K = 20": (mean(0.9), 20),
    "mean .9, K = 50": (mean(0.9), 50),
}


def load(name: str, folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels."""
    if name != "letter":
        return images("" if name == "digits" else str(folder), name)
    import pandas as pd

    table = pd.read_parquet(f"{folder}/letter.parquet")
    columns = table.drop(columns=["label", "split"], errors="ignore").select_dtypes("number").to_numpy(float)
    return (columns - columns.mean(axis=0)) / columns.std(axis=0), table["label"].to_numpy()


def one_seed(features: np.ndarray, labels: np.ndarray, seed: int) -> dict[str, float]:
    """Mean accuracy over the budgets in points, of random labels and of each arm."""
    from sklearn.linear_model import LogisticRegression

    order = np.random.default_rng([20, seed]).permutation(len(labels))
    third = len(order) // 3
    aside, pool = order[:third][:ASIDE], order[third:][:POOL]
    points, truth = features[pool], labels[pool]
    units = unit_rows(points)

    def accuracy(picked: list[int]) -> float:
        known = np.unique(truth[picked])
        if len(known) < 2:
            return float((labels[aside] == known[0]).mean())
        model = LogisticRegression(max_iter=300).fit(points[picked], truth[picked])
        return float((model.predict(features[aside]) == labels[aside]).mean())

    drawn = np.random.default_rng([seed, 5]).permutation(len(pool)).tolist()
    found = {"random": 100 * np.mean([accuracy(drawn[: STEP * (step + 1)]) for step in range(STEPS)])}
    for name, (rule, clusters) in ARMS.items():
        picked: list[int] = []
        reached = []
        for step in range(STEPS):
            free = np.setdiff1d(np.arange(len(pool)), picked)
            groups, _ = kmeans(units[free], clusters or len(picked) + STEP, np.random.default_rng([seed, step]))
            radius = min(rule(units[free], groups), 2.0 + 1e-9)
            known = nearest_center(units[free], units[picked]) < radius**2
            picked += free[greedy_balls(units[free], radius, known, STEP)[0]].tolist()
            reached.append(accuracy(picked))
        found[name] = 100 * float(np.mean(reached))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=6)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")
    for name in ("digits", *(("mnist", "fashion_mnist", "letter") if asked.data else ())):
        features, labels = load(name, asked.data)
        runs = [one_seed(features, labels, seed) for seed in range(asked.seeds)]
        print(f"{name}, {asked.seeds} seeds: random {np.mean([run['random'] for run in runs]):.2f}")
        for arm in ARMS:
            d = paired(np.array([run[arm] - run["random"] for run in runs]))
            interval = "" if d.low is None else f" ({d.low:+.2f} to {d.high:+.2f})"
            print(f"   {arm:32} {d.mean:+.2f}{interval}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
