"""Merge: from the answers of all rounds to one label per sample, keeping every vote."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from al_plugin import targets
from al_plugin.data.answers import Answer
from al_plugin.data.expectations import Outcome
from al_plugin.data.label_round import AnswerFile, LabelRound
from al_plugin.rounds import gate
from al_plugin.rounds.consensus import Agreed, Cast, agreed
from al_plugin.schemas import schema
from al_plugin.strategies.registry import Strategy

VOTES = pa.schema(
    [
        ("query_id", pa.string()),
        ("sample_id", pa.string()),
        ("annotator", pa.string()),
        ("label", pa.string()),
        ("round", pa.int32()),
        ("file", pa.string()),
    ],
    metadata={"al.schema": schema("votes")},
)
LABELED = pa.schema(
    [
        ("sample_id", pa.string()),
        ("label", pa.string()),
        ("votes", pa.int32()),
        ("agreement", pa.float64()),
        ("round", pa.int32()),
        ("sources", pa.list_(pa.string())),
    ],
    metadata={"al.schema": schema("labeled")},
)
ASKED = pa.schema(
    [
        ("query_id", pa.string()),
        ("sample_id", pa.string()),
        ("round", pa.int32()),
        ("kind", pa.string()),
        ("status", pa.string()),
    ],
    metadata={"al.schema": schema("asked")},
)
QUARANTINE = pa.schema(
    [
        ("file", pa.string()),
        ("row", pa.int32()),
        *((name, pa.string()) for name in ("query_id", "sample_id", "annotator", "status", "label")),
        ("rules", pa.list_(pa.string())),
        ("reasons", pa.list_(pa.string())),
    ],
    metadata={"al.schema": schema("quarantine")},
)


# Rule, reason and remedy of votes that two clones filed at once.
_TORN = (
    ("answered_once",),
    ("the annotator gave this sample different labels, and none of them is later",),
    ("file a correction that supersedes one of them",),
)


@dataclass(frozen=True)
class Vote:
    """A standing labelled answer and where it stands."""

    answer: Answer
    file: AnswerFile


@dataclass(frozen=True)
class Merged:
    """The outputs of merge-labels."""

    labeled: pa.Table
    votes: pa.Table
    asked: pa.Table
    quarantine: pa.Table
    metrics: dict[str, Any]
    validation: dict[str, Any]


def gate_columns(
    rounds: Sequence[LabelRound], pool_ids: Collection[str], classes: Sequence[str], task: str = targets.CLASSES
) -> dict[str, list[Any]]:
    """Helper columns of every filed answer, in round, file and row order."""
    queries = {label_round.number: label_round.query for label_round in rounds}
    return gate.columns(gate.answered_files(rounds), (), queries, pool_ids, classes, task)


def merge(
    rounds: Sequence[LabelRound],
    table: Mapping[str, Sequence[Any]],
    outcomes: Sequence[Outcome],
    classes: Sequence[str],
    strategy: Strategy,
    knobs: Mapping[str, Any],
    task: str = targets.CLASSES,
) -> Merged:
    """One label per sample from all standing answers; independent of the order of files and rows.

    ``table`` are the helper columns of ``gate_columns`` and ``outcomes`` the verdicts on them: rows
    that broke a critical rule go to the quarantine. A sample whose top classes tie is disputed: it
    gets no label and stays asked. What consensus is under another ``task``: see ``consensus.agreed``.
    """
    asking = targets.of(task, classes)
    refused, votes, skipped = _standing(rounds, gate.refusals(outcomes), asking)
    samples = sorted({vote.answer.sample_id for vote in votes})
    labeled = _labeled(votes, samples, agreed(_cast(votes, samples), strategy, knobs, asking), task)
    asked = _asked(rounds, set(labeled.column("sample_id").to_pylist()), set(samples), skipped)
    counts = asking.counts(asking.array(labeled.column("label").to_pylist()))
    agreement = [share for share in labeled.column("agreement").to_pylist() if share is not None]
    metrics = {
        "schema": schema("label_metrics"),
        "round": len(rounds),
        "labels": labeled.num_rows,
        "votes": len(votes),
        "annotators": len({vote.answer.annotator for vote in votes}),
        "disputed": len(samples) - labeled.num_rows,
        "pending": sum(row != "labelled" for row in asked.column("status").to_pylist()),
        "quarantined": len(refused),
        "mean_agreement": float(np.mean(agreement)) if agreement else None,
        "per_class": counts,
    }
    if task == targets.REGRESSION:
        spread = [one for one in labeled.column("spread").to_pylist() if one is not None]
        metrics["mean_spread"] = float(np.mean(spread)) if spread else None
    return Merged(
        labeled=labeled,
        votes=_votes_table(votes),
        asked=asked,
        quarantine=_quarantine(table, refused),
        metrics=metrics,
        validation=gate.report(table, outcomes),
    )


def _standing(
    rounds: Sequence[LabelRound], refused: Sequence[gate.Refusal], asking: targets.Targets
) -> tuple[list[gate.Refusal], list[Vote], set[str]]:
    """All refusals, the votes that count, sorted, and the samples that someone skipped."""
    files = gate.answered_files(rounds)
    bad, flat = {one.position for one in refused}, [Vote(answer, file) for file in files for answer in file.answers]
    accepted = {position: vote for position, vote in enumerate(flat) if position not in bad}
    # A refused correction replaces nothing, unless it was itself replaced by one that stands: then the
    # annotator has moved on from what it corrected, too.
    replaced = gate.superseded_by([(vote.file, vote.answer) for vote in accepted.values()], files)
    standing = {at: vote for at, vote in accepted.items() if vote.file.key(vote.answer) not in replaced}
    # Asked again in a later round, an annotator still has one vote: the latest.
    latest: dict[tuple[str, str], dict[int, Vote]] = {}
    for at, vote in sorted(standing.items(), key=lambda item: _time(item[1])):
        if gate.is_vote(vote.answer, asking):
            who = vote.answer.sample_id, vote.answer.annotator
            as_late = {i: one for i, one in latest.get(who, {}).items() if _time(one) == _time(vote)}
            latest[who] = {**as_late, at: vote}
    votes, torn = [], []
    for tied in latest.values():
        said = {(vote.answer.status, vote.answer.label) for vote in tied.values()}
        if len(said) == 1:
            votes.append(min(tied.values(), key=lambda vote: vote.file.name))
        else:  # neither is later, so that the name of a file would decide
            torn += [gate.Refusal(at, *_TORN) for at in tied]
    votes.sort(key=lambda v: (v.answer.sample_id, *_time(v), v.answer.annotator))
    skipped = {vote.answer.sample_id for vote in standing.values() if not gate.is_vote(vote.answer, asking)}
    return sorted([*refused, *torn], key=lambda one: one.position), votes, skipped


def _time(vote: Vote) -> tuple[int, int, str]:
    return vote.file.round, vote.file.batch, vote.answer.created_at


def _cast(votes: Sequence[Vote], samples: Sequence[str]) -> Cast:
    sample_index = {sample: position for position, sample in enumerate(samples)}
    annotators = sorted({vote.answer.annotator for vote in votes})
    annotator_index = {name: position for position, name in enumerate(annotators)}
    times = {time: rank for rank, time in enumerate(sorted({_time(vote) for vote in votes}))}
    return Cast(
        len(samples),
        np.array([sample_index[v.answer.sample_id] for v in votes], dtype=np.int64),
        np.array([annotator_index[v.answer.annotator] for v in votes], dtype=np.int64),
        np.array([times[_time(v)] for v in votes], dtype=np.int64),
        [vote.answer.label for vote in votes],
    )


def _labeled(votes: Sequence[Vote], samples: Sequence[str], found: Sequence[Agreed | None], task: str) -> pa.Table:
    by_sample: dict[str, list[Vote]] = {sample: [] for sample in samples}
    for vote in votes:
        by_sample[vote.answer.sample_id].append(vote)
    rows = []
    for sample, one in zip(samples, found, strict=True):
        if one is None:
            continue  # disputed
        cast = by_sample[sample]
        rows.append(
            {
                "sample_id": sample,
                "label": one.label,
                "votes": len(cast),
                "agreement": one.agreement,
                "round": min(vote.file.round for vote in cast),
                "sources": sorted({f"round_{v.file.round:04d}/{v.file.name}" for v in cast}),
                "spread": one.spread,
            }
        )
    schema = LABELED
    if task == targets.REGRESSION:
        schema = LABELED.append(pa.field("spread", pa.float64()))
    return pa.Table.from_pylist(rows, schema=schema)


def _asked(
    rounds: Sequence[LabelRound], labelled: Collection[str], voted: Collection[str], skipped: Collection[str]
) -> pa.Table:
    """Every query row ever asked, with what became of it."""

    def status(sample: str) -> str:
        if sample in labelled:
            return "labelled"
        if sample in voted:
            return "disputed"
        return "skipped" if sample in skipped else "pending"

    rows = [
        {
            "query_id": row.query_id,
            "sample_id": row.sample_id,
            "round": label_round.number,
            "kind": row.kind,
            "status": status(row.sample_id),
        }
        for label_round in rounds
        for row in label_round.query
    ]
    return pa.Table.from_pylist(rows, schema=ASKED)


def _votes_table(votes: Sequence[Vote]) -> pa.Table:
    rows = [
        {
            "query_id": vote.answer.query_id,
            "sample_id": vote.answer.sample_id,
            "annotator": vote.answer.annotator,
            "label": vote.answer.label,
            "round": vote.file.round,
            "file": f"round_{vote.file.round:04d}/{vote.file.name}",
        }
        for vote in votes
    ]
    return pa.Table.from_pylist(rows, schema=VOTES)


def _quarantine(table: Mapping[str, Sequence[Any]], refused: Sequence[gate.Refusal]) -> pa.Table:
    rows = [
        {
            **{name: table[name][refusal.position] for name in QUARANTINE.names[:7]},
            "rules": list(refusal.rules),
            "reasons": list(refusal.reasons),
        }
        for refusal in refused
    ]
    return pa.Table.from_pylist(rows, schema=QUARANTINE)
