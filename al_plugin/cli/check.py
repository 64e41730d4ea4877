"""`al check [STRATEGY ...]`."""

import argparse
import sys

from al_plugin.errors import StrategyError
from al_plugin.strategies import registry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("strategy", nargs="*", help="STAGE.NAME or STAGE.module:function; default: all shipped")
    parser.add_argument("--verbose", action="store_true", help="print the checks that passed too")


def run(arguments: argparse.Namespace) -> int:
    """Run the contract suite; exit code 1 if a promise is broken."""
    from al_plugin.checks import check_strategy

    asked = arguments.strategy or [f"{s}.{n}" for s in registry.STAGES for n in registry.names(s)]
    broken = 0
    for word in asked:
        stage, dot, name = word.partition(".")
        if not dot or stage not in registry.STAGES:
            raise StrategyError(f"{word!r} is not STAGE.NAME", change=f"stages: {', '.join(registry.STAGES)}")
        results = check_strategy(registry.load(stage, name))
        failed = [result for result in results if not result.ok]
        broken += len(failed)
        print(f"{word}: {len(results) - len(failed)} of {len(results)} checks hold")
        for result in results if arguments.verbose else failed:
            mark, stream = ("ok    ", sys.stdout) if result.ok else ("BROKEN", sys.stderr)
            print(f"  {mark} {result.check}: {result.message}", file=stream)
    return 1 if broken else 0
