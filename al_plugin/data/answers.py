"""Answers of annotators: CSV files read as text, written in one canonical form."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from hashlib import blake2b, sha256

from al_plugin.errors import LabelError

STATUSES = ("labelled", "skipped", "empty")
REQUIRED = ("query_id", "sample_id", "label")
_DELIMITERS = ",;\t"
# Without a key: a batch filed by an early 0.1.
_FILE_NAME = re.compile(r"^b(\d{2,})(?:-[0-9a-f]{6})?--(.+)\.csv$")
# What makes a spreadsheet run a cell, in East Asian ones also the wide forms. `for_people` puts a quote mark before
# such a cell; it comes back with one.
_RUN = "=+-@\t\r\n＝＋－＠"
_FORMULA_MARK = re.compile(f"^'(?=[{re.escape(_RUN)}])")
_SAFE = re.compile(r"[^A-Za-z0-9._@+-]")


@dataclass(frozen=True)
class Answer:
    """One answer of one annotator to one query, every cell as the text it was.

    ``supersedes`` names the filed batch whose answer this one replaces: ``b01--ann``, every first batch
    of ann in the round, or one of them, ``b01-3fa2c1--ann``.
    """

    query_id: str
    sample_id: str
    annotator: str
    status: str
    label: str
    supersedes: str = ""
    origin: str = ""
    lead_time_s: str = ""
    note: str = ""
    created_at: str = ""


COLUMNS = tuple(field.name for field in fields(Answer))


@dataclass(frozen=True)
class Sheet:
    """A parsed CSV: answers with their line numbers, lines left blank, columns not understood."""

    answers: tuple[Answer, ...]
    lines: tuple[int, ...]
    blank: int
    ignored_columns: tuple[str, ...]


def read_sheet(content: bytes, where: str, *, annotator: str = "") -> Sheet:
    """Answers of a CSV as people and spreadsheets write it, or LabelError.

    UTF-8 with or without mark; comma, semicolon or tab; any line ending. Every cell is text:
    ``00123`` stays, ``NA`` is a label. An empty status means labelled where there is a label; a
    row with neither is unanswered and counted in ``blank``. ``annotator`` fills empty cells.
    """
    text = _decode(content, where)
    header_line = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=header_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        _check_header(header, where)
        answers: list[Answer] = []
        lines: list[int] = []
        blank = 0
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                raise LabelError(
                    f"{where} line {reader.line_num}: {len(row)} cells, the header has {len(header)}",
                    change="quote cells that hold the delimiter",
                )
            answer = _answer(dict(zip(header, row, strict=True)), annotator)
            if answer is None:
                blank += 1
            else:
                answers.append(answer)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise LabelError(f"{where} line {reader.line_num}: not a CSV file ({error})") from error
    ignored = tuple(name for name in header if name not in COLUMNS)
    return Sheet(tuple(answers), tuple(lines), blank, ignored)


def to_csv(answers: Sequence[Answer]) -> bytes:
    """The canonical form: UTF-8, LF, every cell quoted, fixed columns, sorted by query id."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(COLUMNS)
    for answer in sorted(answers, key=lambda a: (a.query_id, a.annotator)):
        writer.writerow([getattr(answer, name) for name in COLUMNS])
    return out.getvalue().encode()


def for_people(answers: Sequence[Answer], extra: Sequence[dict[str, str]] = ()) -> bytes:
    """A CSV to fill in a spreadsheet; cells a spreadsheet would run as a formula get a quote mark."""
    out = io.StringIO(newline="")
    extra_columns = list(extra[0]) if extra else []
    writer = csv.writer(out, lineterminator="\n")
    heads = ["query_id", "sample_id", "annotator", "status", "label", "note", *extra_columns]
    writer.writerow([_inert(cell) for cell in heads])
    for position, answer in enumerate(answers):
        cells = [answer.query_id, answer.sample_id, answer.annotator, answer.status, answer.label, answer.note]
        cells += [extra[position][name] for name in extra_columns] if extra else []
        writer.writerow([_inert(cell) for cell in cells])
    return out.getvalue().encode()


def _inert(cell: str) -> str:
    cell = f"'{cell}" if cell and cell[0] in _RUN else cell
    # Readers end a row at \r too, but csv quotes a cell for \n alone.
    return cell.replace("\r\n", "\n").replace("\r", "\n")


def digest(content: bytes) -> str:
    """Lower-case hex SHA-256."""
    return sha256(content).hexdigest()


def content_key(content: bytes) -> str:
    """What keeps files of two clones apart that have the same number: six hex digits of the content."""
    return digest(content)[:6]


def name_part(annotator: str) -> str:
    """An annotator in a file name; characters it cannot hold are replaced, with a short hash."""
    safe = _SAFE.sub("_", annotator)[:64] or "_"
    return safe if safe == annotator else f"{safe}-{blake2b(annotator.encode(), digest_size=3).hexdigest()}"


def file_name(batch: int, annotator: str, content: bytes) -> str:
    """``bNN-<key>--<annotator>.csv``: the same in two clones only where the content is the same."""
    return f"b{batch:02d}-{content_key(content)}--{name_part(annotator)}.csv"


def batch_number(name: str) -> tuple[int, str]:
    """Batch number and annotator part of a filed name; LabelError for any other name."""
    match = _FILE_NAME.match(name)
    if match is None:
        raise LabelError(f"{name!r} is not named bNN-<key>--<annotator>.csv")
    return int(match[1]), match[2]


def _decode(content: bytes, where: str) -> str:
    if not content.strip():
        raise LabelError(f"{where} is empty", change="give it a header and one row per answer")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError(f"{where} is not UTF-8 (byte {error.start})", change="save it as 'CSV UTF-8'") from error
    if "\0" in text:
        raise LabelError(f"{where} holds NUL bytes, so it is not a CSV file", change="save it as 'CSV UTF-8'")
    return text


def _check_header(header: Sequence[str], where: str) -> None:
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise LabelError(
            f"{where}: column {', '.join(missing)} is missing, found {', '.join(header) or 'none'}",
            change="start from `al query export`",
        )
    if len(set(header)) < len(header):
        raise LabelError(f"{where}: a column name stands twice in the header")


def _answer(cells: dict[str, str], annotator: str) -> Answer | None:
    known = {name: cells.get(name, "") for name in COLUMNS}
    # Only ids and words are trimmed; a label or note keeps its blanks.
    for name in ("query_id", "sample_id", "annotator", "status", "supersedes"):
        known[name] = known[name].strip()
    for name in ("query_id", "sample_id", "annotator", "note"):
        known[name] = _FORMULA_MARK.sub("", known[name])
    if not known["label"].strip():
        known["label"] = ""  # a stray blank is no answer, least of all "none of the labels"
    answer = Answer(**known)
    if not answer.status and not answer.label:
        return None
    if not answer.status:
        answer = replace(answer, status="labelled")
    if not answer.annotator:
        answer = replace(answer, annotator=annotator)
    return answer
