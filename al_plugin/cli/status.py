"""`al status`."""

import argparse

from al_plugin import progress
from al_plugin.stage import load_params


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command: none."""


def run(_: argparse.Namespace) -> int:
    """Print where the campaign stands and what to do next."""
    params = load_params()
    now = progress.standing()
    print(f"campaign  {params.campaign.name} ({params.campaign.recipe}, n={params.select.n})")
    print(f"round     {now.round}")
    if now.labels is not None:
        extra = f", {now.quarantined} rows in quarantine" if now.quarantined else ""
        print(f"labels    {now.labels} from {now.votes} votes, {now.pending} asked and without a label{extra}")
    if now.accuracy is not None:
        print(f"accuracy  {now.accuracy:.3f} on the evaluation set")
    print(f"query     {now.query}")
    if now.curve:
        print("so far")
        print("\n".join(progress.draw(now.curve)))
    print(f"next      {now.next_step}")
    return 0
