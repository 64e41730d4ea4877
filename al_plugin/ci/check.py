"""Check what a branch adds to the label rounds. Runs no code of the repository and nothing from data."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from al_plugin import campaign, commands, layout, ledger, store, targets, template
from al_plugin.ci import changes
from al_plugin.config import read_campaign
from al_plugin.data.expectations import Outcome, read_suite, validate
from al_plugin.data.label_round import AnswerFile, LabelRound, refuse_gaps
from al_plugin.errors import AlError, DataError
from al_plugin.rounds import gate


@dataclass(frozen=True)
class Batch:
    """A new batch in figures; ``agreement`` with other annotators' labels, None without any."""

    path: str
    annotators: tuple[str, ...]
    answers: int
    labelled: int
    refused: int
    agreement: float | None


@dataclass(frozen=True)
class BadRow:
    """A new answer that may not merge, and every reason with its remedy."""

    path: str
    row: int
    sample_id: str
    annotator: str
    label: str
    reasons: tuple[str, ...]
    remedies: tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """What became of the check. ``problems`` and ``refused`` fail it, ``warnings`` and ``notes`` do not."""

    base: str
    batches: tuple[Batch, ...]
    per_class: Mapping[str, int]
    agreement: float | None
    problems: tuple[str, ...]
    refused: tuple[BadRow, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def check(revision: str | None = None) -> Checked:
    """Everything new in data/labels since the branch left ``revision``, judged as merging will judge it.

    The expectations are the base's: a branch cannot weaken what it is judged by.
    """
    commands.require_git()
    links, notes = tuple(changes.links()), list[str]()
    if links:  # read no further
        return Checked(changes.merge_base(revision), (), {}, None, links, (), (), ())
    if ledger.labels_in_dvc():
        _pull(layout.LABELS_DVC, "label rounds", notes)
    found = changes.since(revision)
    notes, problems = [*notes, *found.notes], list(found.problems)
    rounds = list(_readable(problems))
    new = [file for file in gate.answered_files(rounds) if (file.round, file.name) in found.batches]
    if not new:
        return Checked(found.base, (), {}, None, tuple(problems), (), (), tuple(notes))
    for label_round in rounds:
        paths = ledger.query_files(label_round.number)
        first = all((label_round.number, file.name) in found.batches for file in label_round.files)
        if first and any(changes.unpinned(found.base, label_round.number, path.read_bytes()) for path in paths):
            notes.append(f"the query of round {label_round.number} is not the one that dvc.lock pins")
    old = [file for file in gate.answered_files(rounds) if (file.round, file.name) not in found.batches]
    queries = {label_round.number: label_round.query for label_round in rounds}
    shared = read_campaign(store.read_bytes(layout.PARAMS, "start a campaign with `al init`"))
    pool = _pool_ids(notes)
    known = {row.sample_id for rows in queries.values() for row in rows} if pool is None else pool
    table = gate.columns(new, old, queries, known, shared.classes, shared.task)
    try:
        outcomes = validate(table, _suite(found.base))
    except AlError as error:
        problems.append(str(error))
        outcomes = []
    judged = _judged(found.base, new, table, outcomes, problems, notes)
    return replace(judged, per_class={}) if shared.task == targets.REGRESSION else judged


def _judged(
    base: str,
    new: Sequence[AnswerFile],
    table: Mapping[str, Sequence[Any]],
    outcomes: Sequence[Outcome],
    problems: Sequence[str],
    notes: Sequence[str],
) -> Checked:
    refusals = {refusal.position: refusal for refusal in gate.refusals(outcomes)}
    rows = tuple(
        BadRow(
            f"{layout.LABELS}/{table['file'][at]}",
            table["row"][at],
            table["sample_id"][at],
            table["annotator"][at],
            table["label"][at],
            refusal.reasons,
            refusal.remedies,
        )
        for at, refusal in refusals.items()
    )
    counts = Counter(table["label"][at] for at in range(len(table["row"])) if _labelled(table, at, refusals))
    return Checked(
        base,
        tuple(_batches(new, table, refusals)),
        dict(sorted(counts.items())),
        _mean(table["agrees"]),
        (*problems, *gate.of_the_whole(outcomes)),
        rows,
        gate.warnings(outcomes),
        tuple(notes),
    )


def _batches(
    new: Sequence[AnswerFile], table: Mapping[str, Sequence[Any]], refusals: Collection[int]
) -> Iterator[Batch]:
    start = 0
    for file in new:
        rows = range(start, start + len(file.answers))
        start = rows.stop
        yield Batch(
            f"{layout.LABELS}/{layout.round_folder(file.round)}/{file.name}",
            tuple(sorted({answer.annotator for answer in file.answers})),
            len(rows),
            sum(answer.status == "labelled" for answer in file.answers),
            sum(row in refusals for row in rows),
            _mean([table["agrees"][row] for row in rows]),
        )


def _labelled(table: Mapping[str, Sequence[Any]], row: int, refusals: Collection[int]) -> bool:
    return table["status"][row] == "labelled" and row not in refusals


def _mean(values: Sequence[float | None]) -> float | None:
    given = [value for value in values if value is not None]
    return sum(given) / len(given) if given else None


def _readable(problems: list[str]) -> Iterator[LabelRound]:
    """Rounds that can be read; what is wrong with the others, and gaps between them, are problems."""
    numbers = ledger.round_numbers()
    try:
        ledger.refuse_misnamed()
        refuse_gaps(numbers)
    except AlError as error:
        problems.append(str(error))
    for number in numbers:
        try:
            yield ledger.read_round(number)
        except AlError as error:
            problems.append(str(error))
        except OSError as error:  # a folder where a file should be
            problems.append(f"{error.filename}: {error.strerror}")


def _pool_ids(notes: list[str]) -> set[str] | None:
    """Ids of the pool, from the DVC remote where it is not here; None where that does not answer."""
    pointer = f"{layout.POOL}.dvc"
    if not any(Path(layout.POOL).glob("*.parquet")) and Path(pointer).is_file():
        _pull(pointer, "pool", notes)
    try:
        return campaign.read_pool_ids()
    except DataError:
        notes.append("the pool is not at hand, so samples were looked up in the queries alone")
        return None


def _pull(pointer: str, what: str, notes: list[str]) -> None:
    try:
        commands.dvc("pull", pointer)
    except AlError as error:
        notes.append(f"the {what} could not be pulled ({error})")


def _suite(base: str) -> dict[str, Any]:
    content = changes.at(base, layout.SUITE)
    return read_suite(template.source(layout.SUITE).read_bytes() if content is None else content, layout.SUITE)
