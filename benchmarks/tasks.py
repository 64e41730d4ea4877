"""Learning curves of numbers and of sets of labels against random drawing, with paired seeds.

    python benchmarks/tasks.py regression [seeds]
    python benchmarks/tasks.py multilabel [seeds]
    python benchmarks/tasks.py cold [seeds] [FOLDER]

Regression: scikit-learn's diabetes (442 samples, 10 features). Multilabel: its digits (1,797), where each digit is
told by attributes: even, above four, prime, with a closed loop, made of straight lines alone. Real images,
derived labels: the attributes are functions of one hidden class, so labels are less independent than in the wild.
Every arm of a seed starts from the same random labels and the same split. Cold: regression from nothing, on
diabetes, and with FOLDER also on the ages of adult.parquet there (3,000 samples, 12 % to measure on).
"""

import sys

import numpy as np

from al_plugin import targets
from al_plugin.config import read_params
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Evaluation, Inputs, Labeled, Model, Scoreboard
from al_plugin.rounds import seeds
from al_plugin.rounds.provide import Sampling
from al_plugin.rounds.score import score
from al_plugin.rounds.select import Asked, select
from al_plugin.rounds.train import train
from al_plugin.strategies import recipes, registry

ATTRIBUTES = {
    "even": {0, 2, 4, 6, 8},
    "above four": {5, 6, 7, 8, 9},
    "prime": {2, 3, 5, 7},
    "loop": {0, 6, 8, 9},
    "straight": {1, 4, 7},
}
ARMS = {
    "regression": (
        *("random", "gsx", "gsy", "igs", "predictive_variance", "qbc_variance"),
        *("coreset", "typiclust", "facility_location"),
    ),
    "multilabel": ("random", "label_entropy", "label_margin", "label_bald", "coreset", "typiclust"),
    "cold": ("random", "gsx", "typiclust", "max_herding"),
}
# Labels at the start, labels per round, rounds, evaluation samples.
PLAN = {"regression": (20, 20, 7, 142), "multilabel": (40, 40, 7, 597), "cold": (0, 5, 8, 142)}


def ages(folder: str) -> tuple[np.ndarray, np.ndarray]:
    """Adult's other columns, categories as zeros and ones, and the age."""
    import pandas as pd

    table = pd.read_parquet(f"{folder}/adult.parquet").sample(3_000, random_state=0)
    features = pd.get_dummies(table.drop(columns=["age", "label", "split", "fnlwgt"]), dtype=float)
    return features.to_numpy(np.float32), table["age"].to_numpy(np.float64)


def data(task: str) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels."""
    from sklearn.datasets import load_diabetes, load_digits

    if task == "regression":
        features, values = load_diabetes(return_X_y=True, scaled=False)
        return features.astype(np.float32), values.astype(np.float64)
    features, digits = load_digits(return_X_y=True)
    sets = np.array([[digit in held for held in ATTRIBUTES.values()] for digit in digits], dtype=np.float64)
    return features.astype(np.float32), sets


def curve(plan: str, features: np.ndarray, labels: np.ndarray, recipe: str, seed: int) -> list[float]:
    """The task's first metric after each round that has labels."""
    task = "regression" if plan == "cold" else plan
    start, n, rounds, aside = PLAN[plan]
    aside = max(aside, len(features) // 8) if plan == "cold" else aside
    order = np.random.default_rng(seed).permutation(len(features))
    features, labels = features[order], labels[order]
    ids = np.array([f"s-{i:05d}" for i in order], dtype=object)
    pool = Pool(ids[aside:], features[aside:], {"part-00000": len(ids) - aside})
    truth, evaluation = labels[aside:], Evaluation(features[:aside], labels[:aside])
    classes = tuple(ATTRIBUTES) if task == "multilabel" else ()
    listed = "[" + ", ".join(f'"{name}"' for name in classes) + "]"
    params = read_params(
        f"campaign: {{name: t, task: {task}, classes: {listed}, recipe: {recipe}, seed: {seed}}}\n"
        f"select: {{n: {n}, random_share: 0}}\n".encode()
    )
    labeled = list(range(start))
    found = []
    for number in range(1 if start else 0, rounds + 2 if start else rounds + 1):
        known = Labeled([str(pool.ids[i]) for i in labeled], truth[labeled])
        triple = recipes.resolve(recipe, {}, known.per_class(len(classes)), task)
        by_train, by_score, by_select = (registry.load(s, getattr(triple, s)) for s in ("train", "score", "select"))
        settings = params.train.settings() | {"threads": 1, "seed": seeds.number(seed, number, "train")}
        trained = train(pool, known, evaluation, classes, by_train, settings, {}, number, kind=task)
        if labeled:
            found.append(trained.metrics["eval"][targets.of(task, classes).metrics[0]])
        if len(found) == rounds + (start > 0):
            break
        scored = score(
            Model(trained.card, trained.weights), Inputs(pool, known), Sampling(seed), by_score, by_select, {}
        )
        part = scored.tables["part-00000"]
        board = Scoreboard(
            pool.ids,
            part.column("score").to_numpy(zero_copy_only=False),
            part.column("predicted").to_pylist(),
            [None] * len(pool),
        )
        asked = Asked(n, 0.0, 1, number, seed)
        chosen = select(
            board, scored.signals["part-00000"], known, set(known.sample_ids), by_select, {}, asked, triple.reason
        )
        labeled += pool.positions([row.sample_id for row in chosen.rows]).tolist()
    return found


def main(plan: str, features: np.ndarray, labels: np.ndarray, number: int) -> None:
    """Print a table: the curve of each arm, and its area less random's over paired seeds."""
    from scipy import stats

    curves = {}
    for arm in ARMS[plan]:
        curves[arm] = np.array([curve(plan, features, labels, arm, seed) for seed in range(number)])
        area = curves[arm].mean(axis=1) - curves["random"].mean(axis=1)
        half = stats.t.ppf(0.975, number - 1) * area.std(ddof=1) / np.sqrt(number) if number > 1 else float("nan")
        points = " ".join(f"{value:.3f}" for value in curves[arm].mean(axis=0))
        print(f"{arm:20} {points}   less random {100 * area.mean():+.2f} ± {100 * half:.2f}", flush=True)


if __name__ == "__main__":
    seeds_asked = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    main(sys.argv[1], *data("regression" if sys.argv[1] == "cold" else sys.argv[1]), seeds_asked)
    if len(sys.argv) > 3:
        main(sys.argv[1], *ages(sys.argv[3]), seeds_asked)
