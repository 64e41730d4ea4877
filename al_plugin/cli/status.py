"""`al status`."""

import argparse
from collections.abc import Iterator

from al_plugin import progress
from al_plugin.errors import AlError
from al_plugin.settings import Params
from al_plugin.stage import load_params


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command: none."""


def run(_: argparse.Namespace) -> int:
    """Print where the campaign stands and what to do next."""
    params = load_params()
    metric = params.campaign.targets.metrics[0]
    now = progress.standing(metric)
    print(f"campaign  {params.campaign.name} ({params.campaign.recipe}, n={params.select.n})")
    print(f"round     {now.round}")
    if now.labels is not None:
        extra = f", {now.quarantined} rows in quarantine" if now.quarantined else ""
        print(f"labels    {now.labels} from {now.votes} votes, {now.pending} asked and without a label{extra}")
    if now.accuracy is not None:
        print(f"{metric:9} {now.accuracy:.3f} on the evaluation set")
    print(f"query     {now.query}")
    if now.drift is not None:
        from al_plugin.rounds import drift

        if drift.differs(now.drift):
            print(f"drift     {drift.said(now.drift)}")
    if now.curve:
        print("so far")
        print("\n".join(progress.draw(now.curve)))
    for line in _verdict(params, rounds=len(now.curve)):
        print(line)
    print(f"next      {now.next_step}")
    return 0


def _verdict(params: Params, rounds: int) -> Iterator[str]:
    """Stop or go on, once there is a round to judge; never in the way of the rest."""
    from al_plugin.cli.verdict import essential
    from al_plugin.verdict import verdict

    if rounds < 2:
        return
    try:
        yield from essential(verdict(params))
    except AlError as error:
        yield f"advice    none: {error}"
