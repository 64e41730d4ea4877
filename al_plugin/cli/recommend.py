"""`al recommend`."""

import argparse

from al_plugin.cli import simulate
from al_plugin.recommend import recommended, seen
from al_plugin.simulate.output import newest_preflight
from al_plugin.stage import load_params
from al_plugin.strategies import recipes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--simulate", action="store_true", help="run `al simulate` on this campaign's labels first")


def run(arguments: argparse.Namespace) -> int:
    """Print a recipe, its reasons, the evidence and what to keep in mind."""
    params = load_params()
    found = seen(params)
    failed = False
    if arguments.simulate:
        rule = recipes.suited(found.facts).recipe
        failed = bool(simulate.rehearsed(params, f"{simulate.RECIPES},{rule}")["failures"])
    advice = recommended(found, newest_preflight())
    facts = found.facts
    counts = ", ".join(f"{name} {count}" for name, count in zip(found.classes, facts.labels_per_class, strict=True))
    print(f"labels    {found.labels} of a pool of {found.pool}: {counts}")
    print(f"redundant {facts.near_duplicates:.0%} of the pool has a near copy")
    print(f"query     {facts.n} samples")
    print(f"recipe    {advice.recipe}")
    for title, texts in (("because", advice.reasons), ("evidence", advice.evidence), ("mind", advice.cautions)):
        for i, text in enumerate(texts):
            print(f"{title if i == 0 else '':9} {text}")
    print(f"next      set campaign.recipe: {advice.recipe} in params.yaml (now {params.campaign.recipe})")
    return 1 if failed else 0
