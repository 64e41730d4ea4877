"""`al track`, `al track --all`."""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from al_plugin import history
from al_plugin.clones import clone_at, pull
from al_plugin.stage import load_params
from al_plugin.tracking import Told, tell


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--all", action="store_true", help="every round of this branch, from the DVC cache or remote")


def run(arguments: argparse.Namespace) -> int:
    """Tell MLflow of the round in the working tree, or of all rounds it was not told of."""
    if not arguments.all:
        return _report(tell(load_params()))
    home, worst = Path.cwd(), 0
    tracking = load_params().tracking
    for past in history.past_rounds().values():
        with clone_at(past.commit) as folder:
            pull(folder)
            os.chdir(folder)
            try:
                told = tell(replace(load_params(), tracking=tracking), home=home)
            finally:
                os.chdir(home)
        worst = max(worst, _report(told))
    return worst


def _report(told: Told) -> int:
    print(told.message)
    if told.link:
        print(f"see {told.link}")
    return 1 if told.status == "unreachable" else 0
