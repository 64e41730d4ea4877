"""`al ci init github|gitlab`, `al ci check`, `al ci round`, `al ci promote`."""

import argparse
import os
import sys
from pathlib import Path

from al_plugin.ci.workflows import KINDS
from al_plugin.errors import CampaignError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = actions.add_parser("init", help="write a workflow for this campaign; overwrites nothing")
    init.add_argument("kind", choices=KINDS)
    check = actions.add_parser("check", help="check the label batches that a branch adds")
    check.add_argument("--base", help="commit or branch to compare with (default: origin/HEAD, else HEAD)")
    check.add_argument("--report", type=os.path.abspath, help="write what was found as Markdown")
    check.add_argument("--comment", type=os.path.abspath, help="the same, short")
    check.add_argument("--quarantine", action="store_true", help="refused answers do not fail; merge sets them aside")
    work = actions.add_parser("round", help="pull, dvc repro, judge, open and export the next query")
    work.add_argument("--commit", action="store_true", help="commit dvc.lock and the open query")
    work.add_argument("--push", action="store_true", help="also dvc push, then git push (includes --commit)")
    work.add_argument("--promote", action="store_true", help="make the model champion where it is no worse")
    work.add_argument("--out", type=os.path.abspath, help="folder for the query as CSV and the summary")
    work.add_argument("--author", help="'NAME <MAIL>' to commit as (default: whom Git is told of)")
    work.add_argument("--remote", default="origin", help="Git remote to push to")
    work.add_argument("--branch", help="branch to push to (default: this one)")
    promote = actions.add_parser("promote", help="make this round's model the champion where it is no worse")
    promote.add_argument("--accept", action="store_true", help="even where it does not: later rounds compare with it")


def run(arguments: argparse.Namespace) -> int:
    """Run one of the actions."""
    if arguments.action == "init":
        return _init(arguments.kind)
    if arguments.action == "check":
        return _check(arguments)
    return _round(arguments) if arguments.action == "round" else _promote(accept=arguments.accept)


def _init(kind: str) -> int:
    from al_plugin.ci import workflows

    for line in workflows.write(kind, Path.cwd()):
        print(line)
    print("Next: see docs/ci.md for the secrets it needs, then commit it")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from al_plugin import store
    from al_plugin.ci.check import check
    from al_plugin.ci.report import markdown, verdict
    from al_plugin.foreign import printable

    found = check(arguments.base)
    for path, rows in ((arguments.report, 50), (arguments.comment, 10)):
        if path:
            store.write_bytes(path, markdown(found, rows, quarantine=arguments.quarantine).encode())
    for text in (*found.notes, *found.warnings):
        print(f"note: {printable(text)}")
    for problem in found.problems:
        print(f"al ci check: {printable(problem)}", file=sys.stderr)
    for row in found.refused:
        who = f" by {row.annotator}" if row.annotator else ""
        label = f" labelled {row.label!r}" if row.label else ""
        why = "; ".join(f"{reason}, {remedy}" for reason, remedy in zip(row.reasons, row.remedies, strict=True))
        where = f"{row.path} row {row.row}, sample {row.sample_id}{label}{who}"
        print(f"al ci check: {printable(f'{where}: {why}')}", file=sys.stderr)
    print(f"al ci check: {verdict(found, quarantine=arguments.quarantine)}")
    return 1 if found.problems or (found.refused and not arguments.quarantine) else 0


def _round(arguments: argparse.Namespace) -> int:
    from al_plugin.ci import round as one_round
    from al_plugin.foreign import printable

    plan = one_round.Plan(
        commit=arguments.commit,
        push=arguments.push,
        promote=arguments.promote,
        out=Path(arguments.out) if arguments.out else None,
        author=arguments.author,
        remote=arguments.remote,
        branch=arguments.branch,
    )
    summary = one_round.run(plan, lambda text: print(f"al ci round: {text}", flush=True))
    for line in one_round.told(summary):
        print(f"al ci round: {printable(line)}")
    if summary.failed:
        texts = "; ".join(f"{verdict.gate} fails: {verdict.text}" for verdict in summary.failed)
        raise CampaignError(f"round {summary.round} is complete, but {texts}", change="docs/ci.md says what to do")
    return 0


def _promote(*, accept: bool) -> int:
    from al_plugin.ci.round import judge
    from al_plugin.foreign import printable
    from al_plugin.stage import load_params
    from al_plugin.tracking.promote import promote

    params = load_params()
    verdict, notes = judge(params)
    for note in notes:
        print(f"note: {printable(note)}")
    print(verdict.text)
    if verdict.worse and not accept:
        raise CampaignError(f"worse: {verdict.text}", change="promote it with --accept if that is meant")
    done = promote(params)
    print(printable(done.message))
    return 0 if done.status in ("promoted", "already") else 1
