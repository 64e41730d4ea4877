"""`al report [--round N] [--out FILE] [--random-curve FILE] [--track]`."""

import argparse
import os
from pathlib import Path

from al_plugin.stage import load_params


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--round", type=int, default=None, metavar="N", help="a past round (default: the one here)")
    # The command runs in the campaign's root; a path is meant from where the person stands.
    parser.add_argument("--out", type=os.path.abspath, default=None, metavar="FILE", help="reports/round_NNNN.html")
    parser.add_argument(
        "--random-curve",
        type=os.path.abspath,
        default=None,
        metavar="FILE",
        help="CSV labels,accuracy of random drawing, to tell labels saved by",
    )
    parser.add_argument("--track", action="store_true", help="also add the page to the round's MLflow run")


def run(arguments: argparse.Namespace) -> int:
    """Write the page and say where it is."""
    from al_plugin import report

    curve = None if arguments.random_curve is None else Path(arguments.random_curve)
    made = report.make(arguments.round, random_curve=curve, key=arguments.track)
    path = Path(arguments.out or report.default_path(made.number))
    report.write(made.page, path)
    print(f"wrote {path}: round {made.number}, {len(made.page) / 1e6:.1f} MB")
    if arguments.track:
        from al_plugin.tracking.page import attach

        print(attach(load_params(), made.key, made.page))
    return 0
