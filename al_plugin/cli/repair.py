"""`al repair`."""

import argparse
import sys

from al_plugin import commands, repair


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--deep", action="store_true", help="hash every file of the DVC cache and every output, too")


def run(arguments: argparse.Namespace) -> int:
    """Mend what was found, one line each; exit code 1 if something is left that a person must do."""
    commands.require_git()
    commands.require_dvc()
    mended = repair.mend(deep=arguments.deep)
    if mended is None:
        print("al repair: DVC is at work here, so nothing was touched; run it when that has ended", file=sys.stderr)
        return 1
    for line in mended.done:
        print(line)
    for line in mended.left:
        print(f"al repair: {line}", file=sys.stderr)
    if not mended.done and not mended.left:
        print("nothing to repair")
    return 1 if mended.left else 0
