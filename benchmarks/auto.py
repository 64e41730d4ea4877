"""Is `auto` no worse than random labels, by more than a point, on seven data sets at three budgets?

    python benchmarks/auto.py --data FOLDER [--only "TREC, low" ...] [--most K] [--jobs 1] [--out FILE]
                              [--beside RECIPE ...]

FOLDER holds the files that kinds.py reads. Every seed draws a pool (3,000; digits 1,198), an evaluation set
(2,000; digits 599) and, but for the low budget, first labels that both arms share. Tested is "auto is 1 point
or more below random", by a one-sided t test over seeds, Holm over the 21 cells. A cell is looked at up to three
times: after PILOT seeds; after SECOND, unless that decided at Holm's strictest step; and, unless Holm over all cells
decided, after as many as tell a difference of 0 from one of -1 point with power .8 at the strictest step. Their number
comes from the pilot's deviation alone, never its mean, and is at most --most. The smallest p of the looks counts,
times three.

Killed, run it again: finished runs lie under .al/simulate. Raise RULES when the rules of `auto` change.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from auto_cells import Cell, cells, data_of, params_of

from al_plugin.math.comparison import holm, noninferior_p, paired, seeds_needed
from al_plugin.math.learning_curve import area_under
from al_plugin.simulate.plan import Arm, Plan
from al_plugin.simulate.results import Shared, finished
from al_plugin.simulate.workers import outcomes

MARGIN, PILOT, SECOND, LOOKS, RULES = 1.0, 8, 40, 3, 1
RESULTS = Path(__file__).parent / "results" / "auto.json"


@dataclass(frozen=True)
class Asked:
    """A cell and the recipes that are run in it."""

    cell: Cell
    recipes: tuple[str, ...] = ("random", "auto")


def one_seed(asked: Asked, seed: int) -> dict[str, Any]:
    """Metrics of the arms with one seed."""
    cell = asked.cell
    arms = tuple(Arm(f"auto {RULES}" if name == "auto" else name, name) for name in asked.recipes)
    budget = cell.budget
    plan = Plan(arms, 1, budget.start, budget.n, budget.rounds, root=seed)
    done = list(finished(Shared(data_of(cell, seed), params_of(cell), plan), 1))
    failed = [f"{one.arm.name}: {one.failure}" for one in done if one.failure]
    if failed:
        raise RuntimeError("; ".join(failed))
    return {one.arm.recipe: one.result for one in done}


def runs_of(cell: Cell, seeds: range, jobs: int, *recipes: str) -> list[dict[str, Any]]:
    """Runs of both arms, and of other ``recipes``, in the order of seeds."""
    found: dict[int, dict[str, Any]] = {}
    for outcome in outcomes(one_seed, Asked(cell, ("random", "auto", *recipes)), seeds, jobs):
        if outcome.failure:
            sys.exit(f"auto: {cell.name}, seed {outcome.item} failed: {outcome.failure}")
        found[outcome.item] = outcome.result
    return [found[seed] for seed in seeds]


def needed(deviation: float, tests: int) -> int:
    """Seeds that the power computation asks for at Holm's strictest step and one of three looks."""
    return seeds_needed(deviation, MARGIN, alpha=2 * 0.05 / tests / LOOKS)  # 2: a one-sided test


def told(cell: Cell, runs: list[dict[str, Any]], least: float, asked: int) -> dict[str, Any]:
    """Areas in points and their difference in one cell; ``least`` is the smallest p so far."""
    d = differences(runs)
    found = paired(d)
    return {
        "budget": cell.budget.words,
        "seeds": len(runs),
        "seeds_asked": asked,
        "random": float(areas(runs, "random").mean()),
        "auto": float(areas(runs, "auto").mean()),
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
        "deviation": found.deviation,
        "wins": found.wins,
        "p": min(1.0, LOOKS * least),
        "curves": {
            arm: np.mean([run[arm]["accuracy"] for run in runs], axis=0).round(5).tolist() for arm in ("random", "auto")
        },
    }


def measured(
    chosen: list[Cell], rows: dict[str, Any], most: int, tests: int, jobs: int
) -> Iterator[tuple[Cell, dict[str, Any]]]:
    """Every cell after its pilot, then again those that are undecided; the one who asks keeps ``rows`` corrected."""
    runs: dict[Cell, list[dict[str, Any]]] = {cell: [] for cell in chosen}
    least, asked = dict.fromkeys(chosen, 1.0), dict.fromkeys(chosen, PILOT)
    for look in range(LOOKS):
        for cell in chosen:
            decided = look and (rows[cell.name]["p"] < 0.05 / tests if look == 1 else rows[cell.name]["p_holm"] < 0.05)
            upto = (PILOT, min(SECOND, asked[cell]), min(asked[cell], most))[look]
            if decided or len(runs[cell]) >= upto:
                continue
            runs[cell] += runs_of(cell, range(len(runs[cell]), upto), jobs)
            d = differences(runs[cell])
            least[cell] = min(least[cell], noninferior_p(d, MARGIN))
            if not look:
                asked[cell] = max(PILOT, needed(paired(d).deviation or 0.0, tests))
            yield cell, told(cell, runs[cell], least[cell], asked[cell])


def areas(runs: list[dict[str, Any]], arm: str) -> np.ndarray:
    """Normalised areas in points, one per seed."""
    found: np.ndarray = 100.0 * area_under(
        np.array(runs[0][arm]["labels"]), np.array([run[arm]["accuracy"] for run in runs])
    )
    return found


def differences(runs: list[dict[str, Any]], arm: str = "auto") -> np.ndarray:
    return areas(runs, arm) - areas(runs, "random")


def beside(chosen: list[Cell], recipes: list[str], seeds: int, jobs: int) -> int:
    """Print how other recipes do in the cells: what ``auto`` could have chosen."""
    for cell in chosen:
        runs = runs_of(cell, range(seeds), jobs, *recipes)
        print(f"{cell.name}, {seeds} seeds: random {areas(runs, 'random').mean():.2f}", flush=True)
        for name in ("auto", *recipes):
            found = paired(differences(runs, name))
            assert found.low is not None
            assert found.high is not None
            print(f"    {name:20} {found.mean:+6.2f} ({found.low:+.2f} to {found.high:+.2f}), {found.wins}/{seeds}")
    return 0


def corrected(rows: dict[str, Any], tests: int) -> None:
    """Holm over all cells; those without a result count as if they had said nothing."""
    p_values = [row["p"] for row in rows.values()] + [1.0] * (tests - len(rows))
    for row, adjusted in zip(rows.values(), holm(np.array(p_values)), strict=False):
        row["p_holm"] = float(adjusted)
        row["verdict"] = verdict(row)


def verdict(row: dict[str, Any]) -> str:
    """What the corrected test says of a cell."""
    if row["p_holm"] < 0.05:
        return "above random" if row["low"] > 0 else "non-inferior"
    return "inferior" if row["high"] < -MARGIN else "not shown"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--only", nargs="+", help="cells, or data sets")
    parser.add_argument("--most", type=int, default=300, help="seeds of a cell at most")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--beside", nargs="+", metavar="RECIPE", help="show these beside auto instead of the test")
    asked = parser.parse_args()
    every = cells(str(Path(asked.data).resolve()))
    chosen = [cell for cell in every if not asked.only or {cell.name, cell.data} & set(asked.only)]
    if asked.beside:
        return beside(chosen, asked.beside, asked.most, asked.jobs)
    rows: dict[str, Any] = {}
    for cell, row in measured(chosen, rows, asked.most, len(every), asked.jobs):
        rows[cell.name] = row
        corrected(rows, len(every))
        if not asked.only:
            asked.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        width = f"({row['low']:+.2f} to {row['high']:+.2f})"
        print(
            f"{cell.name:22} random {row['random']:6.2f}  auto {row['auto']:6.2f}  {row['difference']:+6.2f} {width:18}"
            f" {row['wins']}/{row['seeds']} seeds of {row['seeds_asked']}, p {row['p']:.2g}",
            flush=True,
        )
    for name, row in rows.items():
        print(f"{name:22} {row['verdict']} (Holm p {row['p_holm']:.2g})")
    return 0 if all(row["p_holm"] < 0.05 for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
