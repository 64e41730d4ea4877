"""`al replay ROUND`, `al replay --all`, each with `--from-cache`."""

import argparse
from collections.abc import Iterator

from al_plugin import history
from al_plugin.errors import CampaignError
from al_plugin.foreign import printable
from al_plugin.replay import Replayed, kept, recomputed, round_or_error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("round", nargs="?", type=int)
    parser.add_argument("--all", action="store_true", help="every round of this branch")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--recompute", action="store_true", help="from the data alone, in a clone (the default)")
    way.add_argument(
        "--from-cache", action="store_true", help="compute nothing: hash what the DVC cache or remote has kept"
    )


def run(arguments: argparse.Namespace) -> int:
    """Replay rounds; exit code 1 if one differs or cannot be compared."""
    rounds = history.past_rounds()
    if arguments.all and not rounds:
        raise CampaignError("no commit pins a round", change="commit dvc.lock after dvc repro")
    if not arguments.all and arguments.round is None:
        raise CampaignError("no round is named", change="al replay ROUND, or al replay --all")
    chosen = list(rounds.values()) if arguments.all else [round_or_error(arguments.round, rounds)]
    worst = 0
    for past in chosen:
        found = kept(past) if arguments.from_cache else recomputed(past)
        worst = max(worst, not found.identical)
        for line in lines(found, computed=not arguments.from_cache):
            print(
                f"round {past.number} ({past.commit[:9]}): {'  ' * line.startswith(' ')}{printable(line)}", flush=True
            )
    return int(worst)


def lines(found: Replayed, *, computed: bool) -> Iterator[str]:
    """What became of a round, the first line in short."""
    if found.identical:
        yield f"{found.compared} outputs identical{'' if computed else ' to what is kept'}"
        return
    if found.trouble:
        yield f"could not be {'rebuilt' if computed else 'compared'}: {found.trouble}"
    if found.stage:
        yield f"{found.stage} differs in {', '.join(found.outputs)}"
    if found.causes:
        yield f"  first input that differs: {found.causes[0]}"
        more = found.causes[1:4]
        if more:
            rest = len(found.causes) - 4
            yield f"  also: {'; '.join(more)}{f'; and {rest} more' if rest > 0 else ''}"
    elif computed and found.stage:
        yield f"  inputs that differ: none; {found.note}"
        return
    if found.note:
        yield f"  {found.note}"
