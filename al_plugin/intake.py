"""Taking in a label batch: read it, pass it through the gate, file it whole or not at all."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_plugin import campaign, commands, layout, ledger, store, waiting
from al_plugin.bounds import TEXT
from al_plugin.data.answers import Answer, Sheet, read_sheet
from al_plugin.data.expectations import Outcome, read_suite, validate
from al_plugin.data.label_round import AnswerFile, LabelRound
from al_plugin.data.queries import QueryRow, from_jsonl, round_of
from al_plugin.errors import LabelError
from al_plugin.rounds import gate
from al_plugin.rounds.merge import gate_columns
from al_plugin.settings import Params

Queries = dict[int, tuple[QueryRow, ...]]


@dataclass(frozen=True)
class RefusedRow:
    """A row of the offered file that may not merge."""

    line: int
    sample_id: str
    annotator: str
    label: str
    reasons: tuple[str, ...]
    remedies: tuple[str, ...]


@dataclass(frozen=True)
class Intake:
    """What became of an offered file.

    ``filed`` new batches, ``known`` rows that were filed before, ``blank`` rows without an answer.
    Nothing was written where ``refused`` is not empty and the batch was not quarantined.
    """

    filed: tuple[AnswerFile, ...]
    known: int
    blank: int
    ignored_columns: tuple[str, ...]
    refused: tuple[RefusedRow, ...]
    warnings: tuple[str, ...]


def take_in(path: Path, params: Params, *, annotator: str = "", quarantine: bool = False) -> Intake:
    """File the answers of a CSV and stage them for commit, or refuse them all.

    With ``quarantine`` a batch with bad rows is filed whole; merge-labels sets those rows aside.
    """
    commands.require_git()
    content = store.read_bytes(path, "name a CSV file of answers", most=TEXT)
    sheet = read_sheet(content, str(path), annotator=annotator)
    if not sheet.answers:
        raise LabelError(f"{path} holds no answer ({sheet.blank} rows are blank)", change="fill in at least one label")
    return take_in_sheet(sheet, params, quarantine=quarantine)


def take_in_sheet(sheet: Sheet, params: Params, *, quarantine: bool = False) -> Intake:
    """The same for answers already parsed. One at a time: batches are numbered by what is filed."""
    with waiting.filing():
        return _take_in(sheet, params, quarantine=quarantine)


def _take_in(sheet: Sheet, params: Params, *, quarantine: bool) -> Intake:
    rounds = ledger.read_rounds(interrupted=True)
    queries = ledger.queries_by_round(rounds)
    unfiled = _unfiled_query(queries)
    queries |= unfiled
    if not queries:
        raise LabelError("no query was handed out yet", change="run dvc repro, then al query export")
    new, lines = _without_known(sheet, rounds)
    known = len(sheet.answers) - len(new)
    if not new:
        stage()
        return Intake((), known, sheet.blank, sheet.ignored_columns, (), ())
    fallback = Counter(_round(answer, queries, max(queries)) for answer in new).most_common(1)[0][0]
    routed = [(_round(answer, queries, fallback), answer) for answer in new]
    planned = ledger.plan(routed, rounds)
    outcomes, refused = _judge(planned, routed, lines, rounds, queries, params)
    whole = gate.of_the_whole(outcomes)
    if whole and not quarantine:
        raise LabelError(f"the batch as a whole breaks a rule ({whole[0]})", change="or file it with --quarantine")
    warnings = (*whole, *gate.warnings(outcomes))
    if refused and not quarantine:
        return Intake((), known, sheet.blank, sheet.ignored_columns, refused, warnings)
    if {number for number, _ in routed} & set(unfiled):
        ledger.file_query()
    ledger.file(planned)
    stage()
    return Intake(tuple(planned), known, sheet.blank, sheet.ignored_columns, refused, warnings)


def stage() -> None:
    """``git add`` everything under data/labels, manifests and queries; labels in DVC go there first.

    All of it, so that what an earlier, interrupted command filed is staged too.
    """
    folders = [layout.MANIFESTS, layout.QUERIES]
    if ledger.labels_in_dvc():
        commands.dvc("add", layout.LABELS)
        folders.append(layout.LABELS_DVC)
    else:
        folders.append(layout.LABELS)
    commands.git("add", "--all", "--", *folders)


def write_docs(params: Params) -> Path:
    """Data Docs of every filed answer, as HTML in ``gx/uncommitted``; the page to open."""
    rounds = ledger.read_rounds()
    if not rounds:
        raise LabelError("no label round is filed yet", change="file answers with `al labels add FILE`")
    table = gate_columns(rounds, campaign.read_pool_ids(), params.campaign.classes, params.campaign.task)
    validate(table, _suite(), str(Path(layout.DATA_DOCS).resolve()))
    return Path(layout.DATA_DOCS, "index.html")


def _suite() -> dict[str, Any]:
    return read_suite(store.read_bytes(layout.SUITE, "take it from `al init`"), layout.SUITE)


def _unfiled_query(queries: Queries) -> Queries:
    """The current query under the round it asks for, if it is not filed yet."""
    path = Path(layout.QUERY)
    number = ledger.round_count() + 1
    if number in queries or not path.is_file():
        return {}
    rows = from_jsonl(path.read_bytes(), layout.QUERY)
    return {number: rows} if rows and round_of(rows[0].query_id) == number else {}


def _without_known(sheet: Sheet, rounds: Sequence[LabelRound]) -> tuple[list[Answer], list[int]]:
    """Answers that are not filed yet word for word, with their lines.

    A spreadsheet that grew is offered whole again; its old rows are no corrections.
    """
    files = gate.answered_files(rounds)
    replaced = gate.superseded(files)
    word_for_word = {_words(answer) for file in files for answer in file.answers}
    standing = {_words(answer)[:5] for file in files for answer in file.answers if file.key(answer) not in replaced}
    pairs: list[tuple[Answer, int]] = []
    seen: set[tuple[str, ...]] = set()
    for answer, line in zip(sheet.answers, sheet.lines, strict=True):
        words = _words(answer)
        known = words in word_for_word if answer.supersedes else words[:5] in standing
        if not known and words not in seen:  # a row that stands twice word for word is one answer
            seen.add(words)
            pairs.append((answer, line))
    return [answer for answer, _ in pairs], [line for _, line in pairs]


def _words(answer: Answer) -> tuple[str, ...]:
    return (answer.query_id, answer.sample_id, answer.annotator, answer.status, answer.label, answer.supersedes)


def _round(answer: Answer, queries: Queries, fallback: int) -> int:
    try:
        number = round_of(answer.query_id)
    except LabelError:
        return fallback
    return number if number in queries else fallback


def _judge(
    planned: Sequence[AnswerFile],
    routed: Sequence[tuple[int, Answer]],
    lines: Sequence[int],
    rounds: Sequence[LabelRound],
    queries: Queries,
    params: Params,
) -> tuple[list[Outcome], tuple[RefusedRow, ...]]:
    shared, filed = params.campaign, gate.answered_files(rounds)
    table = gate.columns(planned, filed, queries, campaign.read_pool_ids(), shared.classes, shared.task)
    outcomes = validate(table, _suite())
    line_of = {id(answer): line for (_, answer), line in zip(routed, lines, strict=True)}
    flat = [answer for file in planned for answer in file.answers]
    refused = []
    for refusal in gate.refusals(outcomes):
        bad = flat[refusal.position]
        row = RefusedRow(line_of[id(bad)], bad.sample_id, bad.annotator, bad.label, refusal.reasons, refusal.remedies)
        refused.append(row)
    return outcomes, tuple(sorted(refused, key=lambda row: row.line))
