"""The gate every answer passes: helper columns for the expectations, and the verdict on each row.

The expectations themselves live as data in ``gx/expectations/label_batch.json``. They look at the
columns made here, so that checking against a pool of a million ids costs a lookup, not a value set.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from al_plugin import targets
from al_plugin.data.answers import STATUSES, Answer
from al_plugin.data.expectations import Outcome
from al_plugin.data.label_round import AnswerFile, Key, LabelRound
from al_plugin.data.queries import QueryRow
from al_plugin.schemas import schema

TOO_FAST_S = 1.0
Stems = Mapping[tuple[int, str], Sequence[str]]
# Round, query, annotator -> file, status, label.
Standing = Mapping[tuple[int, str, str], set[tuple[str, str, str]]]


@dataclass(frozen=True)
class Refusal:
    """A row that may not merge: where it is, and every reason."""

    position: int
    rules: tuple[str, ...]
    reasons: tuple[str, ...]
    remedies: tuple[str, ...]


@dataclass(frozen=True)
class Votes:
    """Votes on one query: of each label, and of each label by each annotator."""

    by_label: Counter[str]
    by_voter: Counter[tuple[str, str]]


def superseded(files: Sequence[AnswerFile]) -> set[Key]:
    """Keys (round, file stem, query_id, annotator) of answers that a later answer replaces."""
    stems = _stems(files)
    replaced: set[Key] = set()
    for file in files:
        for answer in file.answers:
            replaced.update(_named(file, answer, stems))
    return replaced


def superseded_by(standing: Sequence[tuple[AnswerFile, Answer]], files: Sequence[AnswerFile]) -> set[Key]:
    """Keys of answers that the ``standing`` ones replace, directly or through an answer they replace."""
    stems = _stems(files)
    names = {file.key(answer): _named(file, answer, stems) for file in files for answer in file.answers}
    replaced: set[Key] = set()
    for file, answer in standing:
        open_keys = list(_named(file, answer, stems))
        while open_keys:
            key = open_keys.pop()
            if key not in replaced:
                replaced.add(key)
                open_keys += names.get(key, ())
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
    stems = _stems(everything)
    replaced = superseded(everything)
    standing = _standing(everything, replaced)
    by_key = {file.key(answer): file.batch for file in everything for answer in file.answers}
    in_file = Counter(file.key(answer) for file in everything for answer in file.answers)
    consensus = _votes(everything, replaced, asking)
    table: dict[str, list[Any]] = defaultdict(list)
    for file in checked:
        for row_number, answer in enumerate(file.answers, start=1):
            labelled = answer.status == "labelled"
            key = file.key(answer)
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
            table["answered_once"].append(key in replaced or not _answered_otherwise(file, answer, standing))
            table["supersedes_earlier_answer"].append(_supersedes_earlier(file, answer, stems, by_key))
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


def of_the_whole(results: Sequence[Outcome]) -> tuple[str, ...]:
    """A line for each critical rule on the whole table that failed, such as a mean: it has no row to set aside."""
    return _lines(one for one in results if one.severity == "critical" and not one.success and not one.rows)


def warnings(results: Sequence[Outcome]) -> tuple[str, ...]:
    """A line for each rule that is not critical and failed."""
    return _lines(one for one in results if one.severity != "critical" and not one.success)


def _lines(results: Iterable[Outcome]) -> tuple[str, ...]:
    return tuple(f"{one.rule}: {one.reason}; {one.remedy}" for one in results)


def report(table: Mapping[str, Sequence[Any]], results: Sequence[Outcome]) -> dict[str, Any]:
    """The validation report: no times, no paths, the same bytes for the same answers."""
    files, rows = table.get("file", ()), table.get("row", ())
    refused = refusals(results)
    return {
        "schema": schema("validation"),
        "answers": len(rows),
        "refused": len(refused),
        # A critical rule that names no row can set none aside: what is left is to warn.
        "warnings": sum(1 for r in results if not r.success and (r.severity != "critical" or not r.rows)),
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


def _votes(files: Sequence[AnswerFile], replaced: set[Key], asking: targets.Targets) -> dict[tuple[int, str], Votes]:
    """Votes on each query."""
    votes: dict[tuple[int, str], Votes] = defaultdict(lambda: Votes(Counter(), Counter()))
    for file in files:
        for answer in file.answers:
            if is_vote(answer, asking) and file.key(answer) not in replaced:
                cast = votes[(file.round, answer.query_id)]
                cast.by_label[answer.label] += 1
                cast.by_voter[answer.annotator, answer.label] += 1
    return votes


def is_vote(answer: Answer, asking: targets.Targets) -> bool:
    """Whether an answer says what the label is, by status and label."""
    return answer.status in asking.votes and (answer.status == "labelled" or not answer.label)


def _agrees(answer: Answer, votes: Votes, asking: targets.Targets) -> float | None:
    """Share of the other annotators' labels equal to this one; None without others, and for numbers."""
    if not is_vote(answer, asking):
        return None
    others = {label: n - votes.by_voter[answer.annotator, label] for label, n in votes.by_label.items()}
    agreed = [(asking.agree(label, answer.label), n) for label, n in others.items() if n]
    if not agreed or any(same is None for same, _ in agreed):
        return None
    return sum(n for same, n in agreed if same) / sum(others.values())


def _too_fast(answer: Answer) -> float | None:
    try:
        return float(float(answer.lead_time_s) < TOO_FAST_S)
    except ValueError:
        return None


def _supersedes_earlier(file: AnswerFile, answer: Answer, stems: Stems, by_key: Mapping[Key, int]) -> bool:
    for name in answer.supersedes.split():
        keys = [(file.round, stem, answer.query_id, answer.annotator) for stem in stems.get((file.round, name), ())]
        batches = [by_key[key] for key in keys if key in by_key]
        if not batches or max(batches) >= file.batch:
            return False
    return True


def _stems(files: Sequence[AnswerFile]) -> Stems:
    """Files by round and by each of the names an answer may give them."""
    stems: dict[tuple[int, str], list[str]] = defaultdict(list)
    for file in files:
        for name in dict.fromkeys(file.names):
            stems[(file.round, name)].append(file.stem)
    return stems


def _named(file: AnswerFile, answer: Answer, stems: Stems) -> list[Key]:
    """Keys of the answers that an answer says it supersedes."""
    return [
        (file.round, stem, answer.query_id, answer.annotator)
        for name in answer.supersedes.split()
        for stem in stems.get((file.round, name), (name,))
    ]


def _standing(files: Sequence[AnswerFile], replaced: set[Key]) -> Standing:
    """Answers that none replaces, by round, query and annotator: what was said, and in which file."""
    standing: dict[tuple[int, str, str], set[tuple[str, str, str]]] = defaultdict(set)
    for file in files:
        for answer in file.answers:
            if file.key(answer) not in replaced:
                said = (file.stem, answer.status, answer.label)
                standing[(file.round, answer.query_id, answer.annotator)].add(said)
    return standing


def _answered_otherwise(file: AnswerFile, answer: Answer, standing: Standing) -> bool:
    """Whether another file holds another answer of the annotator to the query.

    The same answer in two files is one: two clones may each have filed it before they were merged. Rows that
    stand twice in this file are told as that, not as an earlier answer.
    """
    said = standing[(file.round, answer.query_id, answer.annotator)]
    return any(stem != file.stem and words != [answer.status, answer.label] for stem, *words in said)
