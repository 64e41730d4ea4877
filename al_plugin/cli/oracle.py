"""`al oracle`: answer the open query from known labels."""

import argparse
import csv
import io
import os
from pathlib import Path

from al_plugin import layout, ledger, store, targets, waiting
from al_plugin.bounds import TEXT
from al_plugin.data.answers import Answer, Sheet
from al_plugin.errors import LabelError
from al_plugin.intake import take_in_sheet
from al_plugin.stage import load_params


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--answers", type=os.path.abspath, default=None, help=f"CSV sample_id,label ({layout.ORACLE})")
    parser.add_argument("--annotator", default="oracle")


def run(arguments: argparse.Namespace) -> int:
    """File the query, answer it, stage the batch."""
    params = load_params()
    known = _known(Path(arguments.answers or layout.ORACLE))
    with waiting.filing():
        number, rows = ledger.just_filed_query() or ledger.file_query()[:2]
    missing = [row.sample_id for row in rows if row.sample_id not in known]
    if missing:
        raise LabelError(f"the oracle does not know {len(missing)} samples, first {', '.join(missing[:3])}")
    # Nothing of a set of labels is an answer of its own.
    blank = "empty" if params.campaign.task == targets.MULTILABEL else "labelled"
    answers = tuple(
        Answer(row.query_id, row.sample_id, arguments.annotator, "labelled" if label else blank, label)
        for row, label in ((row, known[row.sample_id]) for row in rows)
    )
    sheet = Sheet(answers, tuple(range(2, len(answers) + 2)), 0, ())
    taken = take_in_sheet(sheet, params)
    for refused in taken.refused:
        raise LabelError(f"sample {refused.sample_id}: {refused.reasons[0]}", change=refused.remedies[0])
    said = f"{len(answers)} labels" if taken.filed else "filed before"
    print(f"answered query {number}: {said}, staged for commit. Next: git commit, then dvc repro")
    return 0


def _known(path: Path) -> dict[str, str]:
    content = store.read_bytes(path, "name a CSV with --answers FILE", most=TEXT)
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        if not {"sample_id", "label"} <= set(reader.fieldnames or ()):
            raise LabelError(f"{path} has columns {reader.fieldnames}", change="it needs sample_id and label")
        return {row["sample_id"]: row["label"] or "" for row in reader}
    except (UnicodeDecodeError, csv.Error) as error:
        raise LabelError(f"{path} is not a CSV file in UTF-8 ({error})") from error
