"""Label rounds, manifests and queries on disk. Adds files; never alters or deletes one that was filed."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from al_plugin import layout, store
from al_plugin.bounds import TEXT
from al_plugin.data import answers as answer_files
from al_plugin.data.answers import Answer
from al_plugin.data.label_round import (
    AnswerFile,
    LabelRound,
    refuse_altered,
    refuse_batch_gaps,
    refuse_gaps,
)
from al_plugin.data.queries import QueryRow, from_jsonl
from al_plugin.errors import LabelError
from al_plugin.schemas import refuse_newer, schema

_PULL_GIT = "git pull (or git checkout) the label rounds"
_PULL_DVC = "dvc pull data/labels.dvc"
_LIKE_A_ROUND = re.compile(r"round_[0-9]+")


@dataclass(frozen=True)
class Filing:
    """One file to be added to a label round."""

    round: int
    name: str
    content: bytes
    rows: int

    @property
    def path(self) -> Path:
        """Where the file goes."""
        return Path(layout.LABELS, layout.round_folder(self.round), self.name)

    @property
    def manifest(self) -> Path:
        """Where its manifest goes."""
        stem = Path(self.name).stem
        return Path(layout.MANIFESTS, layout.round_folder(self.round), f"{stem}.json")


def read_rounds(*, interrupted: bool = False) -> list[LabelRound]:
    """All label rounds, verified: LabelError on a gap, a missing, altered or unannounced file.

    ``interrupted`` forgives what a killed filing leaves behind (files without a manifest, a round
    with a query and no answers yet), so that the filing can be run again.
    """
    numbers = round_numbers()
    refuse_misnamed()
    refuse_gaps(numbers)
    rounds = [read_round(number, interrupted=interrupted) for number in numbers]
    return [label_round for label_round in rounds if label_round.query]


def round_numbers() -> list[int]:
    """Numbers of the label rounds that have a folder, of labels or of manifests, with a file in it."""
    return sorted(_numbers(layout.LABELS) | _numbers(layout.MANIFESTS))


def refuse_misnamed() -> None:
    """LabelError where a folder with files looks like a label round but has another name: nobody would read them."""
    for path in (*_visible(Path(layout.LABELS)), *_visible(Path(layout.MANIFESTS))):
        if _LIKE_A_ROUND.fullmatch(path.name) and any(_visible(path)) and layout.round_number(path.name) is None:
            raise LabelError(
                f"{path} is not named as a label round, {layout.round_folder(1)}",
                change="move it away and file its answers with `al labels add FILE`",
            )


def read_round(number: int, *, interrupted: bool = False) -> LabelRound:
    """One label round, verified as ``read_rounds`` does."""
    folder = Path(layout.LABELS, layout.round_folder(number))
    pull = _PULL_DVC if labels_in_dvc() else _PULL_GIT
    contents = {path.name: store.read_bytes(path, pull, most=TEXT) for path in _visible(folder)}
    manifests = [manifest(path) for path in _visible(Path(layout.MANIFESTS, layout.round_folder(number)))]
    promised = {manifest["file"]: manifest["sha256"] for manifest in manifests}
    if interrupted:
        contents = {name: content for name, content in contents.items() if name in promised}
    refuse_altered(
        str(folder),
        {name: answer_files.digest(content) for name, content in contents.items()},
        promised,
        pull=pull,
    )
    asked = sorted(name for name in contents if _is_query(name))
    names = sorted(contents.keys() - set(asked))
    if interrupted and not asked:
        return LabelRound(number, (), ())
    if (not asked or not names) and not interrupted:
        raise LabelError(
            f"{folder} holds {'no answers' if asked else 'no query'}",
            change="file answers with `al labels add FILE`",
        )
    refuse_batch_gaps(str(folder), names)
    files = tuple(AnswerFile(number, name, _answers(folder / name, contents[name])) for name in names)
    return LabelRound(number, _together((folder / name, contents[name]) for name in asked), files)


def round_count() -> int:
    """Number of label rounds, from the manifests, which are always in Git."""
    return len(_numbers(layout.MANIFESTS))


def filed_queries(number: int) -> list[Path]:
    """Files of the queries handed out for label round ``number`` and not withdrawn, in name order.

    There is one, or none; two where two clones handed out different ones before they were merged.
    """
    return _filed().get(number, [])


def open_query(number: int) -> tuple[QueryRow, ...] | None:
    """Rows handed out for label round ``number``, no sample twice, or None where none are."""
    paths = filed_queries(number)
    rows = _together((path, path.read_bytes()) for path in paths)
    if len(paths) > 1:
        first = {row.sample_id: row for row in reversed(rows)}
        kept = [row for row in rows if first[row.sample_id] is row]
        rows = tuple(replace(row, rank=rank) for rank, row in enumerate(kept, start=1))
    return rows if paths else None


def query_files(number: int) -> list[Path]:
    """Files of the queries that label round ``number`` answered, as far as they are here, in name order."""
    return [path for path in _visible(Path(layout.LABELS, layout.round_folder(number))) if _is_query(path.name)]


def round_query(number: int) -> tuple[QueryRow, ...]:
    """The query that label round ``number`` answered, as far as it is here; not verified."""
    return _together((path, path.read_bytes()) for path in query_files(number))


def file_query() -> tuple[int, tuple[QueryRow, ...], bool]:
    """File the current query in data/queries unless one is open already.

    Returns the label round it asks for, its rows, and whether it was filed just now.
    """
    number = round_count() + 1
    handed_out = open_query(number)
    if handed_out is not None:
        return number, handed_out, False
    content = store.read_bytes(layout.QUERY, "run dvc repro to select a query")
    rows = from_jsonl(content, layout.QUERY)
    if not rows:
        raise LabelError("the query is empty: every sample is labelled or pending", change="add a pool part or release")
    asked = {query.query_id[:5] for query in rows}
    if asked != {f"r{number:04d}"}:
        raise LabelError(
            f"{layout.QUERY} belongs to label round {', '.join(sorted(asked)) or 'none'}, "
            f"the next one is r{number:04d}",
            change="run dvc repro first",
        )
    path = Path(layout.filed_query(number, answer_files.content_key(content)))
    store.write_bytes(path, content)
    _withdrawn(path).unlink(missing_ok=True)  # handed out once more
    return number, rows, True


def just_filed_query() -> tuple[int, tuple[QueryRow, ...]] | None:
    """The newest label round and its query, if no other was selected since: its filing may be half done."""
    number = round_count()
    if number == 0 or not Path(layout.QUERY).is_file():
        return None
    content = Path(layout.QUERY).read_bytes()
    taken = Path(layout.LABELS, layout.round_folder(number), layout.round_query(answer_files.content_key(content)))
    return (number, from_jsonl(content, layout.QUERY)) if taken.is_file() and taken.read_bytes() == content else None


def withdraw_query() -> tuple[int, tuple[Path, ...]]:
    """Mark the open query as withdrawn, so that the next select chooses anew; the files of it."""
    number = round_count() + 1
    paths = tuple(filed_queries(number))
    if not paths:
        raise LabelError("no query is open", change="dvc repro selects one, `al query export` files it")
    for path in paths:
        # A mark beside it: what one clone withdraws and another answers merges, a moved file does not.
        store.write_bytes(_withdrawn(path), b"withdrawn\n")
    return number, paths


def release(query_ids: Iterable[str]) -> list[str]:
    """Let pending or skipped queries be asked again: their ids go into data/queries/released.txt."""
    have = released()
    queries = (label_round.query for label_round in read_rounds())
    asked = {row.query_id for rows in (*queries, _handed_out(round_count())) for row in rows}
    unknown = sorted(set(query_ids) - asked)
    if unknown:
        raise LabelError(f"{', '.join(unknown[:3])} was never asked", change="merged/asked.parquet lists what was")
    new = sorted(set(query_ids) - have)
    if new:
        lines = sorted(have | set(new))
        store.write_bytes(layout.RELEASED, "".join(f"{line}\n" for line in lines).encode())
    return new


def released() -> set[str]:
    """Query ids that were released."""
    path = Path(layout.RELEASED)
    return set(path.read_bytes().decode(errors="replace").split()) if path.is_file() else set()


def excluded(asked: pa.Table, labeled: Iterable[str], *, relabel: bool = False) -> set[str]:
    """Sample ids that may not be asked: labelled (unless ``relabel``), or asked here or elsewhere and not released."""
    free = released()
    handed_out = {row.sample_id for row in _handed_out(round_count()) if row.query_id not in free}
    elsewhere = handed_out - set(labeled)
    columns = (asked.column(name).to_pylist() for name in ("query_id", "sample_id", "status"))
    rows = [row for row in zip(*columns, strict=True) if row[0] not in free]
    if relabel:
        return {sample for _, sample, status in rows if status != "labelled"} | elsewhere
    return {*labeled, *(sample for _, sample, _ in rows)} | elsewhere


def _handed_out(last: int) -> tuple[QueryRow, ...]:
    """Rows of the queries that were handed out for rounds up to ``last``, here or in a clone that was merged."""
    paths = [path for number, found in _filed().items() if number <= last for path in found]
    return _together((path, path.read_bytes()) for path in paths)


def queries_by_round(rounds: Iterable[LabelRound]) -> dict[int, tuple[QueryRow, ...]]:
    """The query of every label round with what was handed out for it elsewhere, and the open one if it is filed."""
    queries = {label_round.number: label_round.query for label_round in rounds}
    last = len(queries) + 1
    for number, paths in _filed().items():
        if number > last:
            continue  # of a round that this clone has not reached
        filed = [(path, path.read_bytes()) for path in paths if not _is_taken(number, path)]
        known = {row.query_id for row in queries.get(number, ())}
        rows = tuple(row for row in _together(filed) if row.query_id not in known)
        if rows:
            queries[number] = (*queries.get(number, ()), *rows)
    return queries


def plan(answers: Iterable[tuple[int, Answer]], rounds: Iterable[LabelRound]) -> list[AnswerFile]:
    """New answers (round, answer) as files: one per round and annotator, numbered after the filed.

    LabelError where one would be larger than what is read of a label round: nobody could read it again.
    """
    groups: dict[tuple[int, str], list[Answer]] = {}
    for number, answer in answers:
        groups.setdefault((number, answer.annotator), []).append(answer)
    filed = {label_round.number: label_round.files for label_round in rounds}
    planned: list[AnswerFile] = []
    for (number, annotator), group in sorted(groups.items()):
        names = [answer_files.batch_number(file.name) for file in filed.get(number, ())]
        own = [batch for batch, who in names if who == answer_files.name_part(annotator)]
        content = answer_files.to_csv(group)
        if len(content) > TEXT:
            raise LabelError(
                f"the answers of {annotator} for round {number} take {len(content):,} bytes as they are filed, "
                f"at most {TEXT:,} are read",
                change="offer them in two files",
            )
        name = answer_files.file_name(max(own, default=0) + 1, annotator, content)
        planned.append(AnswerFile(number, name, tuple(group)))
    return planned


def file(planned: Iterable[AnswerFile]) -> None:
    """Write answer files with their manifests, taking a copy of the open query along.

    Safe to kill and to run again: the query goes first, and each file goes before its manifest.
    """
    filings = [Filing(new.round, new.name, answer_files.to_csv(new.answers), len(new.answers)) for new in planned]
    for number in sorted({filing.round for filing in filings}):
        for path in filed_queries(number):
            if not _is_taken(number, path):
                content = path.read_bytes()
                name = layout.round_query(answer_files.content_key(content))
                _write(Filing(number, name, content, len(from_jsonl(content, str(path)))))
    for filing in filings:
        _clear(filing)
        _write(filing)


def labels_in_dvc() -> bool:
    """Whether the label rounds are tracked by DVC rather than by Git."""
    return Path(layout.LABELS_DVC).is_file()


def _write(filing: Filing) -> None:
    if filing.path.exists() and filing.path.read_bytes() != filing.content:
        raise LabelError(f"{filing.path} exists already with other content", change="run `al doctor`")
    manifest = {
        "schema": schema("manifest"),
        "content": schema("query" if _is_query(filing.name) else "answers"),
        "file": filing.name,
        "rows": filing.rows,
        "sha256": answer_files.digest(filing.content),
    }
    store.write_bytes(filing.path, filing.content)
    store.write_json(filing.manifest, manifest)


def _clear(filing: Filing) -> None:
    """Remove what a killed filing of the same batch left: a file of another content that no manifest names."""
    number, annotator = answer_files.batch_number(filing.name)
    for path in filing.path.parent.glob(f"b{number:02d}-??????--{annotator}.csv"):
        if path != filing.path and not Filing(filing.round, path.name, b"", 0).manifest.is_file():
            path.unlink()


def _together(contents: Iterable[tuple[Path, bytes]]) -> tuple[QueryRow, ...]:
    """Rows of several query files, none twice."""
    found: dict[str, QueryRow] = {}
    for path, content in contents:
        for row in from_jsonl(content, str(path)):
            found.setdefault(row.query_id, row)
    return tuple(found.values())


def _is_query(name: str) -> bool:
    return name.startswith("query") and name.endswith(".jsonl")


def _is_taken(number: int, path: Path) -> bool:
    """Whether a label round holds a filed query, with a manifest."""
    content = path.read_bytes()
    names = (layout.round_query(answer_files.content_key(content)), "query.jsonl")
    filings = [Filing(number, name, content, 0) for name in names]
    return any(one.manifest.is_file() and one.path.is_file() and one.path.read_bytes() == content for one in filings)


def _filed() -> dict[int, list[Path]]:
    """Files of the queries that were handed out and not withdrawn, by round, in name order."""
    aside = {path.stem for path in Path(layout.WITHDRAWN).glob("*.txt")}
    found: dict[int, list[Path]] = {}
    for path in sorted(Path(layout.QUERIES).glob("round_*.jsonl")):
        number = path.stem.removeprefix("round_").partition("-")[0]
        if number.isascii() and number.isdigit() and path.stem not in aside:
            found.setdefault(int(number), []).append(path)
    return found


def _withdrawn(path: Path) -> Path:
    """The mark that a filed query was withdrawn."""
    return Path(layout.WITHDRAWN, f"{path.stem}.txt")


def _answers(path: Path, content: bytes) -> tuple[Answer, ...]:
    answers = answer_files.read_sheet(content, str(path)).answers
    if not answers:
        raise LabelError(f"{path} is an empty batch", change="remove it from Git history, or file its answers")
    return answers


def manifest(path: Path) -> dict[str, Any]:
    """What a manifest promises, or LabelError."""
    found = store.read_json(path, "restore it with git checkout")
    if not isinstance(found.get("file"), str) or not isinstance(found.get("sha256"), str):
        raise LabelError(f"{path} is not a manifest", change="restore it with git checkout")
    if path.stem != Path(found["file"]).stem:  # else a second one could promise other bytes of the same file
        raise LabelError(f"{path} is the manifest of {found['file']!r}", change="restore it with git checkout")
    refuse_newer(found.get("content"), str(path.name))
    return found


def _numbers(folder: str) -> set[int]:
    return layout.rounds_in(path.relative_to(folder).as_posix() for path in Path(folder).glob("round_*/*"))


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if not path.name.startswith(".")) if folder.is_dir() else []
