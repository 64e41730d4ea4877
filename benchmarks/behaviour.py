"""What the training methods do on real data, beside what their papers and ours say of them.

    python benchmarks/behaviour.py --data FOLDER [--only ITEM ...] [--sets mnist fashion_mnist] [--seeds N]
    python benchmarks/behaviour.py --small [--only ITEM ...]

FOLDER holds mnist.npz and fashion_mnist.npz (arrays X_train, y_train, X_test, y_test); ``--small`` takes
scikit-learn's digits and seconds. Prints a table for each item and set, and puts it into results/behaviour.json
beside those that are there already. Numbers in brackets are 95 % intervals over seeds, all arms of a comparison under
the same seeds.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and torch start their threads

from behaviour_items.committees import committees
from behaviour_items.forgetting import forgetting, forgetting_by_sgd
from behaviour_items.images import Images, load
from behaviour_items.learned import discriminators, loss_prediction
from behaviour_items.proxies import proxy
from behaviour_items.published import forgetting_as_published
from behaviour_items.rates import learning_rate
from behaviour_items.speed import dropout_speed
from behaviour_items.stats import Row, table
from behaviour_items.unlabelled import semi_supervised
from behaviour_items.warm import warm_start

RESULTS = Path(__file__).parent / "results" / "behaviour.json"
SETS = ("mnist", "fashion_mnist")


@dataclass(frozen=True)
class Item:
    """A measurement: its function, and its settings on images and on digits.

    ``epochs`` and ``small_epochs`` map numbers of labels to epochs; without them it takes no labels.
    """

    run: Callable[..., list[Row]]
    full: dict[str, Any]
    small: dict[str, Any]
    epochs: dict[int, int] = field(default_factory=dict)
    small_epochs: dict[int, int] = field(default_factory=dict)
    sets: tuple[str, ...] = SETS

    def units(self, *, small: bool) -> list[dict[str, Any]]:
        """The settings of each number of labels."""
        settings, epochs = (self.small, self.small_epochs) if small else (self.full, self.epochs)
        if not epochs:
            return [dict(settings)]
        return [{"labels": labels, "epochs": many, **settings} for labels, many in epochs.items()]


FIVE = {"seeds": 5}
FEW, FEW_DIGITS = {200: 20, 1000: 8}, {50: 20, 200: 20}
LONG, SHORT = {"seeds": 2, "epochs": 20}, {"seeds": 2, "epochs": 30}
PART = {"seeds": 2, "epochs": 12, "samples": 10_000}
ITEMS = {
    "forgetting": Item(forgetting, {**LONG, "lr": 0.001}, {**SHORT, "lr": 0.001}, sets=("mnist",)),
    "forgetting_by_sgd": Item(forgetting_by_sgd, {**LONG, "lr": 0.01}, {**SHORT, "lr": 0.01}, sets=("mnist",)),
    "forgetting_of_10000": Item(
        forgetting, {**PART, "lr": 0.001}, {**SHORT, "samples": 300, "lr": 0.001}, sets=("mnist",)
    ),
    "forgetting_of_10000_by_sgd": Item(
        forgetting_by_sgd, {**PART, "lr": 0.01}, {**SHORT, "samples": 300, "lr": 0.01}, sets=("mnist",)
    ),
    "forgetting_as_published": Item(
        forgetting_as_published,
        {"seeds": 5, "epochs": 200, "workers": 2},
        {"seeds": 2, "epochs": 30, "workers": 2},
        sets=("mnist",),
    ),
    "committees": Item(committees, FIVE, FIVE, FEW, FEW_DIGITS),
    "loss_prediction": Item(loss_prediction, FIVE, FIVE, FEW, FEW_DIGITS),
    "discriminators": Item(
        discriminators,
        {"seeds": 5, "steps": {"vaal": [200], "mal": [100]}},
        {"seeds": 3, "steps": {"vaal": [200], "mal": [100]}},
        {200: 10},
        {200: 10},
    ),
    "semi_supervised": Item(semi_supervised, FIVE, FIVE, {50: 30, **FEW}, FEW_DIGITS),
    "proxy": Item(proxy, FIVE, FIVE, {50: 30, **FEW}, FEW_DIGITS),
    "learning_rate": Item(
        learning_rate,
        {"seeds": 10, "rates": [0.005, 0.002, 0.001]},
        {"seeds": 5, "rates": [0.005, 0.001]},
        {1000: 4},
        {200: 10},
        sets=("mnist",),
    ),
    "warm_start": Item(
        warm_start,
        {"seeds": 5, "step": 100, "rounds": 4, "epochs": 20, "loss": 0.1},
        {"seeds": 10, "step": 50, "rounds": 6, "epochs": 60, "loss": 0.1},
        sets=("mnist",),
    ),
    "dropout_speed": Item(
        dropout_speed,
        {"samples": 4096, "naive_batches": (64, 256), "batches": (64, 128, 256, 1024)},
        {"samples": 500, "naive_batches": (64, 256), "batches": (64, 1024)},
        sets=("mnist",),
    ),
}


def run(key: str, data: Images, settings: dict[str, Any]) -> dict[str, Any]:
    """One item on one set: settings, rows and seconds."""
    started = time.perf_counter()
    rows = ITEMS[key].run(data, **settings)
    return {"settings": settings, "rows": rows, "seconds": round(time.perf_counter() - started, 1)}


def said(key: str, name: str, result: dict[str, Any]) -> str:
    """A result as a heading and its table."""
    settings = ", ".join(f"{setting} {value}" for setting, value in result["settings"].items())
    return f"\n{key}, {name}: {settings}; {result['seconds']} s\n\n{table(result['rows'])}"


def show(path: Path) -> None:
    """All tables of a JSON file."""
    for key, by_set in json.loads(path.read_text(encoding="utf-8"))["items"].items():
        for name, result in by_set.items():
            print(said(key, name, result))


def keep(path: Path, key: str, name: str, result: dict[str, Any]) -> None:
    """Put one result into the JSON file, beside what it holds."""
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"items": {}}
    held["machine"] = platform.machine()
    held["versions"] = {package: metadata.version(package) for package in ("numpy", "scikit-learn", "torch")}
    held["items"].setdefault(key, {})[name] = result
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="digits, seconds")
    parser.add_argument("--only", nargs="+", metavar="ITEM", choices=list(ITEMS), default=list(ITEMS))
    parser.add_argument("--sets", nargs="+", choices=SETS, help="which sets, where not the item's own")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where the npz files are")
    parser.add_argument("--labels", nargs="+", type=int, help="which numbers of labels, where not all of the item's")
    parser.add_argument("--seeds", type=int, help="how many seeds, where not the item's own")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file of the results")
    parser.add_argument("--show", action="store_true", help="print the tables of the JSON file, measure nothing")
    arguments = parser.parse_args()
    if arguments.show:
        show(arguments.out)
        return 0
    for key in arguments.only:
        item = ITEMS[key]
        for name in ("digits",) if arguments.small else (arguments.sets or item.sets):
            data = load(name, arguments.data)
            for unit in item.units(small=arguments.small):
                settings = unit | ({"seeds": arguments.seeds} if arguments.seeds and "seeds" in unit else {})
                if arguments.labels and settings.get("labels", arguments.labels[0]) not in arguments.labels:
                    continue
                result = run(key, data, settings)
                print(said(key, name, result), flush=True)
                of = f"{name}, {settings['labels']} labels" if "labels" in settings else name
                keep(arguments.out, key, of, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
