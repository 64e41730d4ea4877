"""`al query export FILE`, `al query withdraw`, `al query release ID...`."""

import argparse
import os
from pathlib import Path

from al_plugin import campaign, ledger, store, waiting
from al_plugin.data.answers import Answer, for_people
from al_plugin.errors import CampaignError
from al_plugin.intake import stage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    export = actions.add_parser("export", help="file the query and write a CSV to fill in")
    export.add_argument("file", type=os.path.abspath)
    export.add_argument("--annotator", default="", help="write this name into every row")
    actions.add_parser("withdraw", help="set the open query aside; the next dvc repro selects anew")
    release = actions.add_parser("release", help="let pending or skipped queries be asked again")
    release.add_argument("query_id", nargs="+")


def run(arguments: argparse.Namespace) -> int:
    """Export, withdraw or release."""
    if arguments.action == "withdraw":
        with waiting.filing():
            number, paths = ledger.withdraw_query()
            stage()
        print(f"{', '.join(map(str, paths))}: query {number} is withdrawn, staged for commit. Next: dvc repro")
        return 0
    if arguments.action == "release":
        with waiting.filing():
            new = ledger.release(arguments.query_id)
            stage()
        print(f"released {len(new)} queries; the next query may ask them again. Next: dvc repro")
        return 0
    return _export(Path(arguments.file), arguments.annotator)


def _export(path: Path, annotator: str) -> int:
    if path.exists():
        raise CampaignError(f"{path} exists already", change="name a file that does not")
    if not path.parent.is_dir():
        raise CampaignError(f"{path.parent} is not a folder", change="name a file in a folder that exists")
    with waiting.filing():
        number, rows, new = ledger.file_query()
        stage()
    blank = [Answer(row.query_id, row.sample_id, annotator, "", "") for row in rows]
    store.write_bytes(path, for_people(blank, campaign.read_shown([row.sample_id for row in rows])))
    if new:
        print(f"filed {', '.join(map(str, ledger.filed_queries(number)))}, staged for commit: it is the open query now")
    print(f"wrote {path} with {len(rows)} rows. Fill in `label`, then: al labels add {path.name}")
    return 0
