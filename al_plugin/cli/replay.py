"""`al replay ROUND`, `al replay --all`."""

import argparse

from al_plugin import history
from al_plugin.errors import AlError, CampaignError
from al_plugin.replay import replay, round_or_error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("round", nargs="?", type=int)
    parser.add_argument("--all", action="store_true", help="every round of this branch")


def run(arguments: argparse.Namespace) -> int:
    """Rebuild rounds; exit code 1 if one differs."""
    rounds = history.past_rounds()
    if arguments.all and not rounds:
        raise CampaignError("no commit pins a round", change="commit dvc.lock after dvc repro")
    if not arguments.all and arguments.round is None:
        raise CampaignError("no round is named", change="al replay ROUND, or al replay --all")
    chosen = list(rounds.values()) if arguments.all else [round_or_error(arguments.round, rounds)]
    differing = 0
    for past in chosen:
        try:
            compared, difference = replay(past)
        except AlError as error:
            differing += 1
            print(f"round {past.number} ({past.commit[:9]}): could not be rebuilt: {error}")
            continue
        if difference is None:
            print(f"round {past.number} ({past.commit[:9]}): {compared} outputs identical")
            continue
        differing += 1
        print(f"round {past.number} ({past.commit[:9]}): {difference.stage} differs in {', '.join(difference.outputs)}")
        causes = ", ".join(difference.inputs)
        print(f"  inputs that differ: {causes or 'none; so the platform, library versions or thread count'}")
    return 1 if differing else 0
