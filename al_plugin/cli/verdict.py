"""`al verdict [--json] [--labels N] [--random-curve FILE]`."""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path

from al_plugin.errors import CampaignError
from al_plugin.math.intervals import Estimate, Refused
from al_plugin.rounds.judge import Verdict
from al_plugin.stage import load_params


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    parser.add_argument("--labels", type=int, action="append", default=[], help="forecast for so many more labels")
    parser.add_argument(
        "--random-curve",
        type=os.path.abspath,
        default=None,
        metavar="FILE",
        help="CSV labels,accuracy of random drawing, measured on the same evaluation set",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the verdict."""
    from al_plugin.verdict import verdict

    if any(more < 1 for more in arguments.labels):
        raise CampaignError(f"--labels asks for {min(arguments.labels)} more labels", change="name 1 or more")
    curve = None if arguments.random_curve is None else Path(arguments.random_curve)
    found = verdict(load_params(), more=arguments.labels, random_curve=curve)
    if arguments.json:
        print(json.dumps(found.document(), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(lines(found)))
    return 0


def essential(found: Verdict) -> Iterator[str]:
    """Stop or go on, with the reason; forecast; the random control."""
    yield f"advice    {'stop' if found.decision.stop else 'go on'}: {found.decision.reason}"
    for labels, expected in found.forecast.items():
        yield f"forecast  {shown(expected)} accuracy at {labels} labels"
    random = sum(one.counted.random for one in found.rounds if one.counted is not None)
    if isinstance(found.pool_accuracy, Estimate):
        yield f"control   {shown(found.pool_accuracy)} accuracy on {random} random rows, each before it was learned"
    else:
        yield f"control   {shown(found.pool_accuracy)}"


def lines(found: Verdict) -> Iterator[str]:
    """The whole verdict for people."""
    yield f"round     {found.round}, {found.labels} labels"
    yield from essential(found)
    if found.forecast:
        yield f"          {shown(found.asymptote)} with labels without end"
    yield "criteria"
    for state in found.criteria:
        holds = {True: "holds", False: "does not hold", None: "cannot be judged"}[state.holds]
        looks = " (looks at evaluation labels)" if state.on_evaluation else ""
        yield f"  {state.name:24} {holds}: {state.reason}{looks}"
    yield from _selection(found) if found.forecast else ()
    if found.money:
        yield f"money     {sum(found.money.values()):g} in {len(found.money)} rounds"
    missing = [one.missing for one in found.rounds if one.missing]
    if found.unread:
        missing.insert(0, f"metrics of rounds {', '.join(map(str, found.unread))} are not in this machine's DVC cache")
    for text in missing[:3]:
        yield f"not read  {text}; run dvc fetch --all-commits"
    if len(missing) > 3:
        yield f"not read  {len(missing) - 3} more"


def _selection(found: Verdict) -> Iterator[str]:
    """What random and chosen rows say; there is a forecast wherever answers are right or wrong."""
    yield "selection"
    yield f"  random rows              {shown(found.pool_accuracy)}, unbiased for the models on what was unlabelled"
    yield f"  the newest answered      {shown(found.latest_pool_accuracy)}"
    yield f"  chosen rows              {shown(found.chosen_accuracy)}, biased by selection"
    yield f"  random minus chosen      {shown(found.selection_bias)}"
    yield f"  error by LURE            {shown(found.risk)}"
    if isinstance(found.saved, Refused):
        yield f"  labels saved             {shown(found.saved)}"
    else:
        yield f"  labels random needs      {shown(found.saved.random, 0)} for accuracy {found.saved.target:.3f}"
        yield f"  labels saved             {shown(found.saved.saved, 0)}"
    yield f"  advice                   {found.advice}"


def shown(found: Estimate | Refused, digits: int = 3) -> str:
    """An estimate with its interval, or why there is none."""
    if isinstance(found, Refused):
        return f"none: {found.refused}"
    ends = ["unbounded" if end is None else f"{end:.{digits}f}" for end in (found.low, found.high)]
    return f"{found.value:.{digits}f} ({ends[0]} to {ends[1]})"
