"""The gate every answer passes: helper columns for the expectations, and the verdict on each row.

The expectations themselves live as data in ``gx/expectations/label_batch.json``. They look at the
columns made here, so that checking against a pool of a million ids costs a lookup, not a value set.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from al_plugin import targets
from al_plugin.data.answers import STATUSES, Answer
from al_plugin.data.expectations import Outcome
from al_plugin.data.label_round import AnswerFile, Key, LabelRound
from al_plugin.data.queries import QueryRow

TOO_FAST_S = 1.0


@dataclass(frozen=True)
class Refusal:
    """A row that may not merge: where it is, and every reason."""

    position: int
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    remedies: tuple[str, ...]


def superseded(files: Sequence[AnswerFile]) -> set[Key]:
    """Keys (round, file stem, query_id, annotator) of answers that a later answer replaces."""
    replaced: set[Key] = set()
    for file in files:
        for answer in file.answers:
            for stem in answer.supersedes.split():
                replaced.add((file.round, stem, answer.query_id, answer.annotator))
    return replaced


def superseded_by(standing: Sequence[tuple[AnswerFile, Answer]], files: Sequence[AnswerFile]) -> set[Key]:
    """Keys of answers that the ``standing`` ones replace, directly or through an answer they replace."""
    names = {file.key(answer): answer.supersedes.split() for file in files for answer in file.answers}
    replaced: set[Key] = set()
    for file, answer in standing:
        open_stems = answer.supersedes.split()
        while open_stems:
            key = (file.round, open_stems.pop(), answer.query_id, answer.annotator)
            if key not in replaced:
                replaced.add(key)
                open_stems += names.get(key, [])
    return replaced


def columns(
    checked: Sequence[AnswerFile],
    filed: Sequence[AnswerFile],
    queries: Mapping[int, Sequence[QueryRow]],
    pool_ids: Collection[str],
    classes: Sequence[str],
    task: str = targets.CLASSES,
) -> dict[str, list[Any]]:
    """Helper columns, one row per answer of ``checked``, in order.

    ``filed`` are answers already accepted (context for duplicates and corrections), ``queries``
    the query of each label round. Booleans are True where the row is in order; shares
    (skipped, too_fast, accepted_prediction, agrees) are 0/1 or None where they do not apply.
    """
    asking = targets.of(task, classes)
    asked = {(number, row.query_id): row.sample_id for number, rows in queries.items() for row in rows}
    everything = [*filed, *checked]
    replaced = superseded(everything)
    standing = Counter(
        (file.round, answer.query_id, answer.annotator)
        for file in everything
        for answer in file.answers
        if file.key(answer) not in replaced
    )
    by_key = {file.key(answer): file.batch for file in everything for answer in file.answers}
    in_file = Counter(file.key(answer) for file in everything for answer in file.answers)
    consensus = _votes(everything, replaced, asking)
    table: dict[str, list[Any]] = defaultdict(list)
    for file in checked:
        for row_number, answer in enumerate(file.answers, start=1):
            labelled = answer.status == "labelled"
            key = file.key(answer)
            # Rows that stand twice in this file are told as that, not as an earlier answer.
            others = standing[(file.round, *key[2:])] - (0 if key in replaced else in_file[key])
            table["file"].append(f"round_{file.round:04d}/{file.name}")
            table["row"].append(row_number)
            for name in ("query_id", "sample_id", "annotator", "status", "label", "supersedes"):
                table[name].append(getattr(answer, name))
            table["asked"].append((file.round, answer.query_id) in asked)
            table["sample_matches_query"].append(
                asked.get((file.round, answer.query_id), answer.sample_id) == answer.sample_id
            )
            table["in_pool"].append(answer.sample_id in pool_ids)
            table["annotator_named"].append(bool(answer.annotator))
            table["status_known"].append(answer.status in STATUSES)
            table["label_matches_status"].append(labelled == bool(answer.label))
            table["label_allowed"].append(not labelled or not answer.label or not asking.problem(answer.label))
            table["once_in_file"].append(in_file[key] == 1)
            table["answered_once"].append(key in replaced or others == 0)
            table["supersedes_earlier_answer"].append(_supersedes_earlier(file, answer, by_key))
            table["skipped"].append(float(answer.status not in asking.votes))
            table["too_fast"].append(_too_fast(answer))
            table["accepted_prediction"].append(float(answer.origin == "prediction") if answer.origin else None)
            table["agrees"].append(_agrees(answer, consensus[(file.round, answer.query_id)], asking))
    return dict(table)


def refusals(results: Sequence[Outcome]) -> list[Refusal]:
    """Rows that broke a critical rule, in row order, each with all its reasons."""
    by_row: dict[int, list[Outcome]] = defaultdict(list)
    for result in results:
        if result.severity == "critical":
            for row in result.rows:
                by_row[row].append(result)
    return [
        Refusal(
            row,
            tuple(broken.rule for broken in by_row[row]),
            tuple(broken.reason for broken in by_row[row]),
            tuple(broken.remedy for broken in by_row[row]),
        )
        for row in sorted(by_row)
    ]


def report(table: Mapping[str, Sequence[Any]], results: Sequence[Outcome]) -> dict[str, Any]:
    """The validation report: no times, no paths, the same bytes for the same answers."""
    files, rows = table.get("file", ()), table.get("row", ())
    refused = refusals(results)
    return {
        "schema": "validation/1",
        "answers": len(rows),
        "refused": len(refused),
        "warnings": sum(1 for r in results if r.severity != "critical" and not r.success),
        "rules": [
            {
                "rule": result.rule,
                "severity": result.severity,
                "success": result.success,
                "failed": len(result.rows),
                "observed": result.observed,
                "reason": result.reason,
                "remedy": result.remedy,
                "first": [f"{files[row]} row {rows[row]}" for row in result.rows[:5]],
            }
            for result in results
        ],
    }


def answered_files(rounds: Sequence[LabelRound]) -> list[AnswerFile]:
    """All filed batches, by round and name."""
    return [file for label_round in rounds for file in sorted(label_round.files, key=lambda f: f.name)]


def _votes(
    files: Sequence[AnswerFile], replaced: set[Key], asking: targets.Targets
) -> dict[tuple[int, str], list[Answer]]:
    votes: dict[tuple[int, str], list[Answer]] = defaultdict(list)
    for file in files:
        for answer in file.answers:
            key = file.key(answer)
            if key not in replaced and is_vote(answer, asking):
                votes[(file.round, answer.query_id)].append(answer)
    return votes


def is_vote(answer: Answer, asking: targets.Targets) -> bool:
    """Whether an answer says what the label is, by status and label."""
    return answer.status in asking.votes and (answer.status == "labelled" or not answer.label)


def _agrees(answer: Answer, votes: Sequence[Answer], asking: targets.Targets) -> float | None:
    """Share of the other annotators' labels equal to this one; None without others, and for numbers."""
    others = [vote.label for vote in votes if vote.annotator != answer.annotator]
    if not others or not is_vote(answer, asking):
        return None
    agreed = [asking.agree(label, answer.label) for label in others]
    return None if None in agreed else sum(map(bool, agreed)) / len(agreed)


def _too_fast(answer: Answer) -> float | None:
    try:
        return float(float(answer.lead_time_s) < TOO_FAST_S)
    except ValueError:
        return None


def _supersedes_earlier(file: AnswerFile, answer: Answer, by_key: Mapping[Key, int]) -> bool:
    return all(
        by_key.get((file.round, stem, answer.query_id, answer.annotator), file.batch) < file.batch
        for stem in answer.supersedes.split()
    )
