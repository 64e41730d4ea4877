"""Entry point of `al`."""

import argparse
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

from al_plugin import __version__, layout
from al_plugin.errors import AlError, CampaignError
from al_plugin.foreign import LONGEST, printable

# name -> one line of help; the module of a command is imported when it is called.
COMMANDS = {
    "init": "make a campaign of this Git and DVC repository",
    "status": "round, labels, accuracy so far, open query, next step",
    "verdict": "is it worth it, what would more labels bring, when to stop",
    "strategies": "list the strategies, or print the card of one",
    "recommend": "name a recipe for the data at hand, with reasons",
    "simulate": "compare recipes on labels that are there, before spending new ones",
    "labels": "add a label batch, or choose where label rounds are stored",
    "query": "export the query for people, withdraw it, release pending samples",
    "oracle": "answer the open query from known labels (demos and tests)",
    "demo": "a whole campaign on real data in a fresh folder",
    "replay": "rebuild a past round in a temporary clone and compare every output",
    "verify": "check that labels are as merged, queries as asked, and no evaluation sample was asked",
    "report": "one HTML page on a round: what was chosen and why, how the model stands",
    "diff": "two rounds: metrics, labels, predictions, query and settings that changed",
    "warm-start": "let the next round's training start from the current model",
    "track": "tell MLflow of rounds it was not told of",
    "ci": "check label batches and run rounds in continuous integration",
    "check": "run the contract suite on strategies",
    "repair": "bring the campaign back after a kill or a broken disk; nothing is deleted",
    "upgrade": "move the campaign to the version of al_plugin that is installed",
    "doctor": "look for what would go wrong",
}
# Commands that need no campaign, and those that work where the person stands.
_ANYWHERE = ("init", "strategies", "demo", "check", "doctor")
_HERE = ("init", "demo")


def main(argv: list[str] | None = None) -> int:
    """Run one command; an AlError is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="al", description="Active learning in a DVC + MLflow repository.")
    parser.add_argument("--version", action="version", version=f"al-plugin {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    words = sys.argv[1:] if argv is None else argv
    for name, text in COMMANDS.items():
        sub = subparsers.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name in words[:1]:
            _module(name).add_arguments(sub)
    arguments = parser.parse_args(words)
    try:
        return _run(arguments)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        found = _trouble(error)
        if not found:
            raise  # a bug keeps its traceback
        print(f"al {arguments.command}: {found}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    root = _campaign_root()
    if root is None and arguments.command not in _ANYWHERE:
        raise CampaignError(
            f"{Path.cwd()} is not inside a campaign: no {layout.PARAMS} beside a {layout.DVC_YAML} here or above",
            change="start one with `al init`, or see one with `al demo`",
        )
    if root is not None and arguments.command not in _HERE:
        os.chdir(root)
    return int(_module(arguments.command).run(arguments))


def _trouble(error: Exception) -> str:
    """One line on what is no bug; "" for what is one, unless a foreign hand changed what the stages wrote."""
    if isinstance(error, AlError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory"
    if isinstance(error, OSError):
        return printable(f"{error.filename or ''}: {error.strerror or error}")
    changed = _altered()
    told = f"{', '.join(changed[:3])} is not what its stage wrote ({error!r}); run dvc repro"
    return printable(told, LONGEST) if changed else ""


def _altered() -> list[str]:
    """What a foreign hand changed, where files that the stages wrote cannot be understood."""
    from al_plugin import history

    try:
        return history.altered()
    except (AlError, OSError):
        return [layout.DVC_LOCK]


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"al_plugin.cli.{command.replace('-', '_')}")


def _campaign_root() -> Path | None:
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / layout.PARAMS).is_file() and (folder / layout.DVC_YAML).is_file():
            return folder
    return None


if __name__ == "__main__":
    sys.exit(main())
