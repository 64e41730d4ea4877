"""Does active learning pay here as it does in the literature? Five comparisons over paired seeds.

    python benchmarks/acceptance.py [--only T3 T5] [--seeds K] [--jobs 2] [--data FOLDER] [--out FILE]

Without --data on scikit-learn's digits (a third to measure on, split anew for every seed); with it on the
test images of mnist.npz in that folder, as 40 principal components. Every comparison prints areas, paired
differences with 95 % intervals, and whether its criterion, which stands in the code below, holds.
Finished runs lie under .al/simulate and are not run again.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from al_plugin.config import read_params
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Evaluation
from al_plugin.math.comparison import Paired, equivalent, paired, seeds_needed
from al_plugin.math.learning_curve import area_under, mean_band
from al_plugin.settings import Params
from al_plugin.simulate.data import Data
from al_plugin.simulate.plan import Arm, Plan
from al_plugin.simulate.results import Shared, finished
from al_plugin.simulate.workers import outcomes

CLASSES = tuple("0123456789")


@dataclass(frozen=True)
class Setting:
    """One data set with its budgets and training; ``copies`` of every pool sample with ``noise`` of their range."""

    arms: Mapping[str, str]
    seeds: int
    start: int
    n: int
    rounds: int
    copies: int = 1
    noise: float = 0.0
    balanced: bool = False
    params: str = ""
    data: str = ""


@dataclass(frozen=True)
class Criterion:
    """What must hold of the paired differences, by the words that are printed."""

    words: str
    first: str
    second: str
    holds: Callable[[Paired], bool]


def above(points: float = 0.0) -> Callable[[Paired], bool]:
    return lambda d: d.low is not None and d.low > 0 and d.mean >= points


def below() -> Callable[[Paired], bool]:
    return lambda d: d.high is not None and d.high < 0


def within(points: float) -> Callable[[Paired], bool]:
    return lambda d: equivalent(d, points)


RANDOM = {"random": "random"}
LAPLACE = (
    "train: {network: linear, dynamics_every: 0, epochs: 60, lr: 0.01, weight_decay: 0.0001}\n"
    "score: {posterior: laplace, passes: 50}\n"
    "select: {random_share: 0, batch_bald: {configurations: 1000}}\n"
)


def own(*recipes: str) -> dict[str, str]:
    return RANDOM | {name: name for name in recipes}


LINEAR = LAPLACE.partition("score:")[0] + "select: {random_share: 0}\n"
COPIES = [
    Criterion("margin at least 10 above entropy", "margin", "entropy", above(10.0)),
    Criterion("margin above random", "margin", "random", above()),
    Criterion("BADGE above random", "badge", "random", above()),
    Criterion("entropy below random", "entropy", "random", below()),
]
CANDIDATES = own("margin", "badge", "cluster_margin", "zhdanov", "uherding", "softmax_margin", "drop_query")
TESTS: dict[str, tuple[str, list[tuple[Setting, list[Criterion]]]]] = {
    "T1": (
        "a pool of near copies: BatchBALD > random > BALD, PowerBALD > BALD",
        [
            (
                Setting(
                    own("bald", "power_bald", "batch_bald"), 16, 20, 10, 12, 3, 0.02, balanced=True, params=LAPLACE
                ),
                [
                    Criterion("BatchBALD above BALD", "batch_bald", "bald", above()),
                    Criterion("PowerBALD above BALD", "power_bald", "bald", above()),
                    Criterion("BALD below random", "bald", "random", below()),
                    Criterion("BatchBALD above random", "batch_bald", "random", above()),
                ],
            )
        ],
    ),
    "T3": (
        "cold start, 10 to 60 labels in tens: TypiClust at least 8 points above random, entropy below",
        [
            (
                Setting(own("typiclust", "prob_cover", "max_herding"), 20, 0, 10, 6),
                [
                    Criterion("TypiClust at least 8 above random", "typiclust", "random", above(8.0)),
                    Criterion("MaxHerding above random", "max_herding", "random", above()),
                    Criterion("ProbCover above random", "prob_cover", "random", above()),
                ],
            ),
            (
                Setting(own("entropy", "margin"), 20, 10, 10, 5),
                [Criterion("entropy below random", "entropy", "random", below())],
            ),
        ],
    ),
    "T4": (
        "many labels: margin and BADGE above random and within .75 of each other, core-set below margin",
        [
            (
                Setting(own("margin", "badge", "coreset"), 12, 100, 50, 10),
                [
                    Criterion("margin above random", "margin", "random", above()),
                    Criterion("BADGE above random", "badge", "random", above()),
                    Criterion("BADGE and margin within .75", "badge", "margin", within(0.75)),
                    Criterion("core-set below margin", "coreset", "margin", below()),
                ],
            )
        ],
    ),
    "T5": (
        "a pool of near copies, ranked lists: margin at least 10 points above entropy",
        [
            (
                Setting(
                    own("margin", "badge", "entropy", "least_confidence", "softmax_margin"), 10, 10, 10, 14, 3, 0.05
                ),
                COPIES,
            ),
            (
                Setting(own("margin", "badge", "entropy", "least_confidence"), 10, 10, 10, 14, 3, 0.05, params=LINEAR),
                COPIES,
            ),
        ],
    ),
    "R": (
        "which recipe past the cold start: queries of 10 and of 50, each sample once and three times with noise",
        [
            (Setting(CANDIDATES, 10, 50, n, rounds, copies, 0.02), [])
            for copies in (1, 3)
            for n, rounds in ((10, 10), (50, 6))
        ],
    ),
    "T8": (
        "controls, many labels: random against itself within .5, reversed margin below, shuffled margin as random",
        [
            (
                Setting(
                    own("margin")
                    | {
                        "random again": "random",
                        "reversed": "single+controls:reversed_margin+top",
                        "shuffled": "single+controls:shuffled_margin+top",
                    },
                    20,
                    100,
                    100,
                    5,
                ),
                [
                    Criterion("random and random again within .5", "random again", "random", within(0.5)),
                    Criterion("shuffled margin and random within .5", "shuffled", "random", within(0.5)),
                    Criterion("reversed margin below random", "reversed", "random", below()),
                    Criterion("margin above random", "margin", "random", above()),
                ],
            )
        ],
    ),
}


@cache
def images(folder: str, name: str = "mnist") -> tuple[np.ndarray, np.ndarray]:
    """Features about 0 to 1 and labels: digits, or the test images of a set as 40 principal components."""
    if not folder:
        from sklearn.datasets import load_digits

        features, labels = load_digits(return_X_y=True)
        return features / 16.0, labels
    from sklearn.decomposition import PCA

    path = Path(folder, f"{name}.npz")
    if not path.is_file():
        sys.exit(f"acceptance: {path} is not there; leave --data out to run on digits")
    held = np.load(path, allow_pickle=False)
    flat = held["X_test"].reshape(len(held["X_test"]), -1) / 255.0
    return PCA(40, svd_solver="full").fit_transform(flat), held["y_test"]


def data_of(setting: Setting, seed: int) -> Data:
    """Pool, with its copies, and evaluation set (a third; 2,000 of MNIST) of one seed."""
    features, labels = images(setting.data)
    rng = np.random.default_rng([20, seed])
    order = rng.permutation(len(labels))
    aside = 2000 if setting.data else len(labels) // 3
    test, pool = order[:aside], np.repeat(order[aside:], setting.copies)
    x = features[pool] + rng.normal(size=(len(pool), features.shape[1])) * setting.noise
    ids = np.array([f"{position:05d}-{i % setting.copies}" for i, position in enumerate(pool)], dtype=object)
    evaluation = Evaluation(features[test].astype(np.float32), labels[test].astype(np.int64))
    held = Pool(ids, x.astype(np.float32), {"part-00000": len(pool)})
    return Data(held, labels[pool].astype(np.int64), CLASSES, evaluation, source="benchmark")


def params_of(setting: Setting) -> Params:
    quoted = ", ".join(f'"{name}"' for name in CLASSES)
    rest = setting.params or "train: {dynamics_every: 0}\nselect: {random_share: 0}\n"
    return read_params(f"campaign: {{name: acceptance, classes: [{quoted}]}}\n{rest}".encode())


def one_seed(setting: Setting, seed: int) -> dict[str, Any]:
    """Metrics of every arm with one seed."""
    arms = tuple(Arm(name, recipe) for name, recipe in setting.arms.items())
    plan = Plan(arms, 1, setting.start, setting.n, setting.rounds, root=seed, balanced=setting.balanced)
    done = list(finished(Shared(data_of(setting, seed), params_of(setting), plan), 1))
    failed = [f"{one.arm.name}: {one.failure}" for one in done if one.failure]
    if failed:
        raise RuntimeError("; ".join(failed))
    return {one.arm.name: one.result for one in done}


def areas_of(setting: Setting, jobs: int) -> dict[str, np.ndarray]:
    """Areas in points by arm, one per seed."""
    found: dict[int, dict[str, Any]] = {}
    for outcome in outcomes(one_seed, setting, range(setting.seeds), jobs):
        if outcome.failure:
            sys.exit(f"acceptance: seed {outcome.item} failed: {outcome.failure}")
        found[outcome.item] = outcome.result
        print(f"\r{len(found)}/{setting.seeds} seeds ", end="", file=sys.stderr, flush=True)
    print("\r\033[K", end="", file=sys.stderr)
    areas = {}
    for arm in setting.arms:
        runs = [found[seed][arm] for seed in range(setting.seeds)]
        curve = np.array([run["accuracy"] for run in runs])
        areas[arm] = 100.0 * area_under(np.array(runs[0]["labels"]), curve)
    return areas


def report(setting: Setting, criteria: list[Criterion], areas: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Print and return areas, differences and verdicts."""
    size = f"{setting.seeds} seeds, {setting.start} first labels, {setting.rounds} rounds of {setting.n}"
    size += f", {setting.copies} copies" if setting.copies > 1 else ""
    size += ", linear network" if "linear" in setting.params else ""
    print(f"  {size}")
    rows: dict[str, Any] = {}
    for arm, values in areas.items():
        mean, half = mean_band(values[:, None])
        width = None if half is None else float(half[0])
        d = paired(values - areas["random"])
        rows[arm] = {"area": float(mean[0]), "half_width": width, "minus_random": d.mean}
        tail = "" if arm == "random" else f"   - random {interval(d)}"
        print(f"    {arm:18} {mean[0]:6.2f}{'' if width is None else f' ± {width:.2f}'}{tail}")
    verdicts = []
    for criterion in criteria:
        d = paired(areas[criterion.first] - areas[criterion.second])
        held = criterion.holds(d)
        verdicts.append({"criterion": criterion.words, "holds": held, "mean": d.mean, "low": d.low, "high": d.high})
        needed = "" if d.deviation is None else f", {seeds_needed(d.deviation, 1.0)} seeds for 1 point"
        print(f"    {'holds' if held else 'FAILS'}: {criterion.words}: {interval(d)}{needed}")
    return {"setting": size, "areas": rows, "verdicts": verdicts}


def interval(d: Paired) -> str:
    if d.low is None or d.high is None:
        return f"{d.mean:+.2f} (one seed)"
    return f"{d.mean:+.2f} ({d.low:+.2f} to {d.high:+.2f}; sd {d.deviation:.2f}, {d.wins}/{d.pairs})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(TESTS), default=list(TESTS), metavar="T")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--data", default="")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    for name in arguments.only:
        words, settings = TESTS[name]
        print(f"{name}: {words}")
        found[name] = []
        for setting, criteria in settings:
            started = time.monotonic()
            changed = {"data": arguments.data} | ({"seeds": arguments.seeds} if arguments.seeds else {})
            asked = Setting(**{**vars(setting), **changed})
            found[name].append(report(asked, criteria, areas_of(asked, arguments.jobs)))
            print(f"    ({time.monotonic() - started:.0f} s)", flush=True)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 0 if all(v["holds"] for test in found.values() for part in test for v in part["verdicts"]) else 1


if __name__ == "__main__":
    sys.exit(main())
