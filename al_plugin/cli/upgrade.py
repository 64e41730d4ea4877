"""`al upgrade`."""

import argparse

from al_plugin import __version__
from al_plugin.upgrade import upgrade


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command: none."""


def run(_: argparse.Namespace) -> int:
    """Write this version's stage scripts and settings into the campaign."""
    changed = upgrade()
    if not changed:
        print(f"nothing to do: the campaign is one of al-plugin {__version__}")
        return 0
    for path in changed:
        print(f"wrote {path}")
    print("Next: read git diff (git checkout -p takes back what was your own), dvc repro, git commit.")
    print("Rounds of before replay with the version that their commit names.")
    return 0
