"""`al verify [--json]`."""

import argparse
import json

from al_plugin.foreign import printable
from al_plugin.stage import load_params
from al_plugin.verify import document, verify


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--json", action="store_true", help="everything, as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Check the chain; exit code 1 if it is broken somewhere."""
    checks = verify(load_params())
    if arguments.json:
        print(json.dumps(document(checks), indent=2, sort_keys=True, ensure_ascii=False))
    else:
        for check in checks:
            more = f" (and {check.breaks - 1} more)" if check.breaks > 1 else ""
            remedy = f"; {check.change}" if check.change else ""
            said = printable(f"{check.text}{more}{remedy}")
            print(f"{'ok    ' if check.holds else 'BROKEN'} {check.name:15} {said}")
    return 0 if all(check.holds for check in checks) else 1
