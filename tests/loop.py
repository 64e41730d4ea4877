"""Whole campaigns on digits in one process, as `al simulate` runs them."""

import numpy as np

from al_plugin.config import read_params
from al_plugin.data.digits import CLASSES
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Evaluation
from al_plugin.settings import Params
from al_plugin.simulate.data import Data
from al_plugin.simulate.plan import Arm, Plan
from al_plugin.simulate.run import run


def digits_split(seed: int) -> tuple[Pool, np.ndarray, Evaluation]:
    """Pool (1,198), its labels, and evaluation set (599) of digits, split by ``seed``."""
    from sklearn.datasets import load_digits

    features, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(labels))
    features, labels = features[order].astype(np.float32), labels[order].astype(np.int64)
    ids = np.array([f"digit-{i:04d}" for i in order], dtype=object)
    pool = Pool(ids[599:], features[599:], {"part-00000": len(ids) - 599})
    return pool, labels[599:], Evaluation(features[:599], labels[:599])


def params_of(recipe: str, seed: int, n: int) -> Params:
    quoted = ", ".join(f'"{c}"' for c in CLASSES)
    text = (
        f"campaign: {{name: t, classes: [{quoted}], recipe: {recipe}, seed: {seed}}}\n"
        "train: {dynamics_every: 0}\n"
        f"select: {{n: {n}, random_share: 0}}\n"
    )
    return read_params(text.encode())


def accuracies(recipe: str, seed: int, *, start: int, n: int, queries: int) -> list[float]:
    """Accuracy by number of labels: at ``start`` random ones shared by all recipes, where there are any, then
    after each query."""
    pool, truth, evaluation = digits_split(seed)
    arm = Arm(recipe, recipe)
    plan = Plan((arm,), seeds=1, start=start, n=n, rounds=queries, root=seed)
    curve: list[float] = run(Data(pool, truth, CLASSES, evaluation), params_of(recipe, seed, n), plan, arm, 0)[
        "accuracy"
    ]
    return curve


def aubc(curve: list[float]) -> float:
    """Normalised area under the curve over equally spaced budgets, the first point included."""
    return float(np.trapezoid(curve) / (len(curve) - 1))
