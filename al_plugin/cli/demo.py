"""`al demo [FOLDER]`."""

import argparse
import os
import time
from pathlib import Path

from al_plugin import progress
from al_plugin.demo import build
from al_plugin.errors import CampaignError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("folder", nargs="?", type=Path, default=Path("al-demo"))
    parser.add_argument("--rounds", type=int, default=5, help="answered rounds after round 0")
    parser.add_argument("--n", type=int, default=50, help="samples per query")


def run(arguments: argparse.Namespace) -> int:
    """Build the campaign and draw its learning curve."""
    if arguments.rounds < 0 or arguments.n < 1:
        raise CampaignError(
            f"asked for {arguments.rounds} rounds of {arguments.n} samples", change="ask for 0 or more of 1 or more"
        )
    started = time.monotonic()
    folder = arguments.folder.resolve()
    build(folder, arguments.rounds, arguments.n, lambda text: print(text, flush=True))
    os.chdir(folder)
    print("\n".join(progress.draw(progress.learning_curve())))
    print(f"{arguments.rounds + 1} rounds in {time.monotonic() - started:.0f} s")
    print(f"next: cd {arguments.folder} && al status   (mlflow ui --backend-store-uri sqlite:///mlflow.db shows it)")
    return 0
