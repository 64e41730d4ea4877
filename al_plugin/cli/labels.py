"""`al labels add FILE`, `al labels store dvc|git`, `al labels docs`."""

import argparse
import os
import sys
from pathlib import Path

from al_plugin import layout, ledger, repair
from al_plugin.foreign import LONGEST, printable
from al_plugin.intake import Intake, take_in, write_docs
from al_plugin.stage import load_params

_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="check, file and stage a CSV of answers, or refuse it")
    # The command runs in the campaign's root; a path is meant from where the person stands.
    add.add_argument("file", type=os.path.abspath)
    add.add_argument("--annotator", default="", help="who answered, for rows that do not say")
    add.add_argument("--quarantine", action="store_true", help="file the batch whole; bad rows are set aside by merge")
    actions.add_parser("docs", help="write great-expectations' pages on all filed answers")
    store = actions.add_parser("store", help="keep label rounds in Git (default) or under DVC")
    store.add_argument("where", choices=("dvc", "git"))


def run(arguments: argparse.Namespace) -> int:
    """Add a batch, or move the label rounds."""
    if ledger.labels_in_dvc():
        for line in repair.mended():  # what a killed `dvc add` left would stop the next one
            print(line)
    if arguments.action == "store":
        return _store(arguments.where)
    if arguments.action == "docs":
        print(f"wrote {write_docs(load_params())}")
        return 0
    return _add(Path(arguments.file), arguments.annotator, quarantine=arguments.quarantine)


def _add(path: Path, annotator: str, *, quarantine: bool) -> int:
    taken = take_in(path, load_params(), annotator=annotator, quarantine=quarantine)
    for row in taken.refused[:_SHOWN]:
        for reason, remedy in zip(row.reasons, row.remedies, strict=True):
            who = f" by {row.annotator}" if row.annotator else ""
            label = f" labelled {row.label!r}" if row.label else ""
            where = f"{path.name} line {row.line}, sample {row.sample_id}{label}{who}"
            print(printable(f"{where}: {reason}; {remedy}"), file=sys.stderr)
    if len(taken.refused) > _SHOWN:
        print(f"... and {len(taken.refused) - _SHOWN} more rows", file=sys.stderr)
    if taken.refused and not taken.filed:
        print(
            f"al labels: {len(taken.refused)} rows of {printable(path.name)} are not in order, so nothing was filed; "
            "correct them, or file the batch whole with --quarantine",
            file=sys.stderr,
        )
        return 1
    _print_taken(taken)
    return 0


def _print_taken(taken: Intake) -> None:
    for warning in taken.warnings:
        print(f"warning: {printable(warning)}", file=sys.stderr)
    if taken.ignored_columns:
        print(printable(f"columns not filed: {', '.join(taken.ignored_columns)}", LONGEST))
    if taken.known:
        print(f"{taken.known} answers were filed before and stay as they are")
    if taken.blank:
        print(f"{taken.blank} rows are unanswered and stay pending")
    for file in taken.filed:
        print(f"filed {layout.LABELS}/{layout.round_folder(file.round)}/{file.name}: {len(file.answers)} answers")
    if taken.refused:
        print(f"{len(taken.refused)} rows will be set aside in {layout.QUARANTINE}")
    print("staged for commit. Next: git commit, then dvc repro" if taken.filed else "nothing new to file")


def _store(where: str) -> int:
    from al_plugin import labels_store

    if (where == "dvc") == ledger.labels_in_dvc():
        labels_store.stage_move()
        print(f"label rounds are {'under DVC' if where == 'dvc' else 'in Git'} already")
        return 0
    if where == "dvc":
        labels_store.to_dvc()
        print(f"{layout.LABELS} is under DVC now, staged for commit. Next: git commit, dvc push")
        print("in every clone, once, so that two annotators' branches merge: see docs/labels.md")
        return 0
    labels_store.to_git()
    print(f"{layout.LABELS} is in Git now, staged for commit. Next: git commit")
    return 0
