"""`al strategies [NAME]`."""

import argparse
import inspect

from al_plugin.errors import StrategyError, near
from al_plugin.strategies import recipes, registry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("name", nargs="?", help="print the card of this strategy")


def run(arguments: argparse.Namespace) -> int:
    """List, or print one card."""
    if arguments.name is None:
        for stage in registry.STAGES:
            print(stage)
            for name in registry.names(stage):
                print(f"  {name:24} {registry.load(stage, name).card.use}")
        print("recipes")
        print(f"  {'auto':24} cold start, then margin")
        for name, triple in recipes.ALL.items():
            print(f"  {name:24} {triple.train} + {triple.score} + {triple.select}")
        return 0
    stages = [stage for stage in registry.STAGES if arguments.name in registry.names(stage)]
    if not stages:
        known = sorted({name for stage in registry.STAGES for name in registry.names(stage)})
        guess = near(arguments.name, known)
        raise StrategyError(f"no strategy is named {arguments.name!r}{guess}", change=f"one of: {', '.join(known)}")
    for stage in stages:
        _card(registry.load(stage, arguments.name))
    return 0


def _card(strategy: registry.Strategy) -> None:
    print(f"{strategy.name} ({strategy.stage})")
    print(inspect.getdoc(strategy.function) or "")
    print(f"use: {strategy.card.use}")
    print(f"cost: {strategy.card.cost}")
    if strategy.card.warm:
        print("takes: train.warm_start")
    print(f"reference: {strategy.card.reference}")
    print(f"signals: {', '.join(strategy.signals) or 'none'}")
    for name, knob in strategy.knobs.items():
        print(f"knob: {strategy.stage}.{strategy.name}.{name} = {knob.default!r}{registry.limit_text(knob)}")
    print()
