"""`al doctor`."""

import argparse

from al_plugin.doctor import examine


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command: none."""


def run(_: argparse.Namespace) -> int:
    """Print findings; exit code 1 if something is wrong."""
    marks = {"ok": "ok     ", "warning": "warning", "wrong": "WRONG  "}
    wrong = 0
    for finding in examine():
        wrong += finding.level == "wrong"
        print(f"{marks[finding.level]} {finding.text}")
    return 1 if wrong else 0
