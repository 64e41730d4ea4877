"""`al init`."""

import argparse
from pathlib import Path

from al_plugin import commands, targets, template
from al_plugin.ci import workflows
from al_plugin.config import read_params
from al_plugin.errors import CampaignError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--name", default=None, help="name of the campaign (default: the folder's name)")
    parser.add_argument("--classes", default="", help="allowed labels, separated by commas: cat,dog")
    parser.add_argument(
        "--task", choices=targets.TASKS, default=targets.CLASSES, help="one label, a set of labels, or a number"
    )
    parser.add_argument("--ci", choices=workflows.KINDS, help="also a workflow that checks labels and runs rounds")


def run(arguments: argparse.Namespace) -> int:
    """Write a campaign into the current folder."""
    root = Path.cwd()
    commands.require_git(root)
    commands.require_dvc(root)
    name = arguments.name or root.name.replace(" ", "-")
    task = arguments.task
    if not arguments.classes and task != targets.REGRESSION:
        raise CampaignError("--classes is missing", change="name the allowed labels: --classes cat,dog")
    classes = tuple(label.strip() for label in arguments.classes.split(",")) if arguments.classes else ()
    text = template.params(template.source("params.yaml").read_text("utf-8"), name, classes, task)
    read_params(text.encode())  # a bad name or class is refused before anything is written
    if not template.source("dvc.yaml").is_file():
        raise CampaignError("the installed al-plugin lacks its templates", change="install it again")
    if arguments.ci:
        workflows.refuse_overwriting(arguments.ci, root)
    for path in template.write(root, name, classes, task):
        print(f"wrote {path}")
    if arguments.ci:
        for line in workflows.write(arguments.ci, root):
            print(line)
    print("Next: put parquet files into data/pool (sample_id; features, text, image, uri or the columns of a table)")
    print("and data/eval (also label), then")
    print("  dvc add data/pool data/eval && git add . && git commit -m 'Start the campaign' && dvc repro")
    return 0
