"""Tables and words as MLflow's pages show them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from al_plugin import layout, store
from al_plugin.tracking.record import Record

MOST_ROWS = 1000
# More rounds than a campaign's description has room for: who writes it need not read all there ever were.
MOST_ROUNDS = 100
# MLflow cuts a tag at 8000 characters, older servers at 5000.
_LONGEST_NOTE = 4800
_REPRO = "run dvc repro"
_COLUMNS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "nll": "nll",
    "ece": "ece",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "r2": "R2",
    "rmse": "RMSE",
    "mean_agreement": "agreement",
}


def split_json(table: pa.Table) -> str:
    """A table in the JSON form that MLflow shows as a table (what ``mlflow.log_table`` writes)."""
    columns = [column.to_pylist() for column in table.columns]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return json.dumps({"columns": table.column_names, "data": rows}, ensure_ascii=False)


def most_forgotten(forgetting: pa.Table, rows: int = MOST_ROWS) -> pa.Table:
    """Labelled samples that were hardest to learn: never learned first, then by forgetting events."""
    order = [("never_learned", "descending"), ("forgetting_events", "descending"), ("sample_id", "ascending")]
    return forgetting.sort_by(order).slice(0, rows)


def query_table(content: bytes, rows: int = MOST_ROWS) -> pa.Table:
    """The query by rank: what is asked and why."""
    names = ("rank", "sample_id", "query_id", "kind", "score", "reason", "annotators", "propensity")
    found = [json.loads(line) for line in content.splitlines()[:rows]]
    return pa.table({name: [row.get(name) for row in found] for name in names})


def read_forgetting(root: Path) -> pa.Table:
    """Forgetting events of the labelled samples."""
    return store.read_table(root / layout.FORGETTING, _REPRO)


def read_scores(root: Path) -> pa.Table:
    """Scores of the whole pool."""
    return pa.concat_tables(store.read_parts(root / layout.SCORES, _REPRO).values())


def round_note(record: Record) -> str:
    """The description of a round's run: what it is and how to rebuild it."""
    base, experiment = record.tags.get("git.base_commit"), record.tags.get("dvc.exp_name")
    started = f"It was computed on top of commit `{base[:12]}`.\n\n" if base else ""
    what = (
        f"Round {record.number} of campaign **{record.campaign}**: {record.labels} labels, "
        f"next query by **{record.strategy}**.\n\n{started}"
    )
    if experiment:
        return f"{what}It is a DVC experiment; to have it: `dvc exp apply {experiment}`."
    query = record.digests[layout.QUERY]
    return (
        f"{what}To rebuild it: `al replay {record.number}`, or by hand\n\n"
        f"    git checkout $(git log --reverse --format=%h -S{query} -- {layout.DVC_LOCK} | head -1)\n"
        "    dvc repro\n\n"
        f"The first line finds the commit whose {layout.DVC_LOCK} holds this round."
    )


def campaign_note(campaign: str, rounds: Sequence[tuple[Mapping[str, str], Mapping[str, float]]]) -> str:
    """The description of a campaign's run: a markdown table, one line per round, the newest rounds if they are many.

    ``rounds`` are (tags, round metrics) in any order.
    """
    columns = [name for name in _COLUMNS if any(name in metrics for _, metrics in rounds)]
    titles = ["round", "labels", "strategy", *(_COLUMNS[name] for name in columns)]
    head = [f"Rounds of campaign **{campaign}**", "", _line(titles)]
    head.append("|" + " --- |" * (len(columns) + 3))
    ordered = sorted(rounds, key=lambda row: int(row[0].get("al.round", "0")))
    lines = [
        _line(
            [
                tags.get("al.round", ""),
                f"{metrics.get('labels', 0):.0f}",
                tags.get("al.strategy", ""),
                *(f"{metrics[name]:.3f}" if name in metrics else "" for name in columns),
            ]
        )
        for tags, metrics in ordered
    ]
    room = _LONGEST_NOTE - sum(len(line) + 1 for line in head)
    kept = list(_that_fit(lines, room))
    if len(kept) < len(lines) or len(rounds) > MOST_ROUNDS:
        head[0] += f" (the newest {len(kept)})"
    return "\n".join([*head, *kept])


def _that_fit(lines: Sequence[str], room: int) -> list[str]:
    kept: list[str] = []
    for line in reversed(lines):
        room -= len(line) + 1
        if room < 30:
            break
        kept.insert(0, line)
    return kept


def _line(cells: Sequence[Any]) -> str:
    # MLflow's page sets the columns edge to edge; the space must be one that markdown keeps.
    return "| " + " | ".join(f"{cell}&ensp;" for cell in cells) + " |"
