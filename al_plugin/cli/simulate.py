"""`al simulate`."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from al_plugin.config import require_classes
from al_plugin.errors import DataError, ParamsError
from al_plugin.foreign import printable
from al_plugin.settings import Params
from al_plugin.simulate import data as labelled
from al_plugin.simulate import output
from al_plugin.simulate.analysis import Question
from al_plugin.simulate.document import document
from al_plugin.simulate.plan import METRICS, arms_of, fitted_plan
from al_plugin.simulate.results import Finished, Shared, finished
from al_plugin.simulate.table import lines
from al_plugin.stage import load_params

RECIPES = "auto,margin,badge,uherding,cluster_margin,power_bald"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--recipes", default=RECIPES, metavar="A,B", help=f"arms beside random (default {RECIPES})")
    parser.add_argument("--seeds", type=int, default=5, metavar="K", help="paired repetitions (default 5)")
    parser.add_argument("--start", type=int, metavar="S", help="first labels, drawn at random (default 2 per class)")
    parser.add_argument("--n", type=int, metavar="N", help="samples per query (default select.n, or fewer)")
    parser.add_argument("--rounds", type=int, metavar="R", help="queries (default up to 15, half of the pool)")
    parser.add_argument("--pool", metavar="FOLDER", help="labelled parquet parts instead of this campaign's labels")
    parser.add_argument("--eval", metavar="FOLDER", help="labelled parquet parts to measure on")
    parser.add_argument("--eval-share", type=float, metavar="P", help="set aside this share of the pool instead")
    parser.add_argument("--metric", choices=METRICS, default=METRICS[0], help="what curves show")
    parser.add_argument("--target", type=float, metavar="VALUE", help="count the labels until the metric reaches it")
    parser.add_argument("--difference", type=float, default=1.0, metavar="D", help="points that matter (default 1)")
    parser.add_argument("--jobs", type=int, metavar="J", help="processes (default: one per core)")
    parser.add_argument("--out", type=Path, default=Path(output.DEFAULT), metavar="FOLDER", help="default %(default)s")
    parser.add_argument("--track", action="store_true", help="tell MLflow: a run per arm, steps are labels")


def run(arguments: argparse.Namespace) -> int:
    """Simulate, compare, print; exit code 1 if an arm failed."""
    params = load_params()
    found = _simulated(arguments, params)
    print("\n".join(lines(found)))
    print(f"written: {', '.join(str(arguments.out / name) for name in output.FILES)}")
    if arguments.track:
        from al_plugin.tracking.simulation import tell_simulation

        files = [arguments.out / name for name in output.FILES]
        told = tell_simulation(params, found, files)
        print(told.message if told.link is None else f"{told.message}; see {told.link}")
    return 1 if found["failures"] else 0


def rehearsed(params: Params, names: str) -> dict[str, Any]:
    """The document of a simulation as it is without options, but for the recipes."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return _simulated(parser.parse_args(["--recipes", names]), params)


def _simulated(arguments: argparse.Namespace, params: Params) -> dict[str, Any]:
    _check(arguments)
    output.refuse_foreign(arguments.out)
    shared = prepared(arguments, params)
    done = list(shown(finished(shared, arguments.jobs or _cores()), shared))
    found = document(shared, done, Question(arguments.metric, arguments.target, arguments.difference))
    output.write(arguments.out, found, done)
    return found


def prepared(arguments: argparse.Namespace, params: Params) -> Shared:
    """Data and plan, everything checked that can be before it runs."""
    require_classes(params, "al simulate")
    names = arguments.recipes.split(",")
    start = arguments.start
    arms = arms_of(names, params, start=1 if start is None else start)
    if arguments.pool is None:
        data = labelled.preflight(params)
    else:
        data = labelled.from_folders(arguments.pool, arguments.eval, arguments.eval_share or 0.0, params)
    if 0 in data.sizes():
        kept, aside = data.sizes()
        raise DataError(
            f"{data.source} gives {kept} samples to label and {aside} to measure on",
            change="take another --eval-share, or more samples",
        )
    plan = fitted_plan(
        data.sizes()[0], params, seeds=arguments.seeds, start=start, n=arguments.n, rounds=arguments.rounds
    )
    return Shared(data, params, replace(plan, arms=arms))


def shown(runs: Iterator[Finished], shared: Shared) -> Iterator[Finished]:
    """The same runs, with a bar on a terminal and else a line each, on stderr."""
    total = len(shared.plan.arms) * shared.plan.seeds
    started, known, terminal = time.monotonic(), 0, sys.stderr.isatty()
    for count, one in enumerate(runs, start=1):
        known += not one.fresh
        spent = time.monotonic() - started
        if terminal:
            left = spent / max(1, count - known) * (total - count)
            bar = "█" * round(30 * count / total)
            print(f"\r{bar:░<30} {count}/{total} runs, about {left:.0f} s left ", end="", file=sys.stderr, flush=True)
        elif one.fresh or one.failure:
            end = one.failure or f"done ({spent:.0f} s)"
            told = printable(f"{one.arm.name}, seed {one.seed}: {end}")
            print(f"{count}/{total} {told}", file=sys.stderr, flush=True)
        yield one
    if terminal:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    if known:
        print(f"{known} of {total} runs were there from before", file=sys.stderr)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.pool is None and (arguments.eval or arguments.eval_share is not None):
        raise ParamsError("--eval and --eval-share belong to --pool", change="name --pool FOLDER, or leave them out")
    if arguments.pool is not None and (arguments.eval is None) == (arguments.eval_share is None):
        raise DataError("--pool needs something to measure on", change="name either --eval FOLDER or --eval-share P")
    if arguments.eval_share is not None and not 0 < arguments.eval_share < 1:
        raise ParamsError(f"--eval-share is {arguments.eval_share}", change="a share between 0 and 1")
    if arguments.start is not None and arguments.start < 0:
        raise ParamsError(f"asked for {arguments.start} first labels", change="ask for 0 or more")
    if arguments.jobs is not None and arguments.jobs < 1:
        raise ParamsError(f"--jobs is {arguments.jobs}", change="ask for 1 or more")
    if not arguments.difference > 0:
        raise ParamsError(f"--difference is {arguments.difference}", change="a number of points above 0")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
