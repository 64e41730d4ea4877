"""`al diff A B [--json]`."""

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("a", type=int, metavar="A", help="a round")
    parser.add_argument("b", type=int, metavar="B", help="another round")
    parser.add_argument("--json", action="store_true", help="everything as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what differs between two rounds."""
    from al_plugin.compare import compare, lines
    from al_plugin.foreign import printable

    found = compare(arguments.a, arguments.b)
    if arguments.json:
        print(json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False))
        return 0
    for line in lines(found):
        print(printable(line))
    return 0
