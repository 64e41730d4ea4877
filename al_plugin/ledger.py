"""Label rounds, manifests and queries on disk. Adds files; never alters or deletes one that was filed."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
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

_PULL_GIT = "git pull (or git checkout) the label rounds"
_PULL_DVC = "dvc pull data/labels.dvc"
_ROUND = re.compile(r"round_([0-9]{1,9})")


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
    refuse_gaps(numbers)
    rounds = [read_round(number, interrupted=interrupted) for number in numbers]
    return [label_round for label_round in rounds if label_round.query]


def round_numbers() -> list[int]:
    """Numbers of the label rounds that have a folder, of labels or of manifests."""
    return sorted({*_numbers(layout.LABELS), *_numbers(layout.MANIFESTS)})


def read_round(number: int, *, interrupted: bool = False) -> LabelRound:
    """One label round, verified as ``read_rounds`` does."""
    folder = Path(layout.LABELS, layout.round_folder(number))
    pull = _PULL_DVC if labels_in_dvc() else _PULL_GIT
    contents = {path.name: store.read_bytes(path, pull, most=TEXT) for path in _visible(folder)}
    manifests = [_manifest(path) for path in _visible(Path(layout.MANIFESTS, layout.round_folder(number)))]
    promised = {manifest["file"]: manifest["sha256"] for manifest in manifests}
    if interrupted:
        contents = {name: content for name, content in contents.items() if name in promised}
    refuse_altered(
        str(folder),
        {name: answer_files.digest(content) for name, content in contents.items()},
        promised,
        pull=pull,
    )
    names = sorted(name for name in contents if name != layout.ROUND_QUERY)
    if interrupted and layout.ROUND_QUERY not in contents:
        return LabelRound(number, (), ())
    if (layout.ROUND_QUERY not in contents or not names) and not interrupted:
        raise LabelError(
            f"{folder} holds {'no answers' if layout.ROUND_QUERY in contents else 'no query'}",
            change="file answers with `al labels add FILE`",
        )
    refuse_batch_gaps(str(folder), names)
    files = tuple(AnswerFile(number, name, _answers(folder / name, contents[name])) for name in names)
    return LabelRound(number, from_jsonl(contents[layout.ROUND_QUERY], str(folder / layout.ROUND_QUERY)), files)


def round_count() -> int:
    """Number of label rounds, from the manifests, which are always in Git."""
    return len(_numbers(layout.MANIFESTS))


def filed_query(number: int) -> bytes | None:
    """The filed query that label round ``number`` will answer, or None."""
    path = Path(layout.filed_query(number))
    return path.read_bytes() if path.is_file() else None


def file_query() -> tuple[int, tuple[QueryRow, ...], bool]:
    """File the current query in data/queries unless one is open already.

    Returns the label round it asks for, its rows, and whether it was filed just now.
    """
    number = round_count() + 1
    content = filed_query(number)
    if content is not None:
        return number, from_jsonl(content, layout.filed_query(number)), False
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
    store.write_bytes(layout.filed_query(number), content)
    return number, rows, True


def withdraw_query() -> tuple[int, Path]:
    """Set the open query aside, so that the next select chooses anew. Nothing is lost."""
    number = round_count() + 1
    content = filed_query(number)
    if content is None:
        raise LabelError("no query is open", change="dvc repro selects one, `al query export` files it")
    key = blake2b(content, digest_size=4).hexdigest()
    aside = Path(layout.WITHDRAWN, f"{layout.round_folder(number)}-{key}.jsonl")
    store.write_bytes(aside, content)
    Path(layout.filed_query(number)).unlink()
    return number, aside


def release(query_ids: Iterable[str]) -> list[str]:
    """Let pending or skipped queries be asked again: their ids go into data/queries/released.txt."""
    have = released()
    asked = {row.query_id for label_round in read_rounds() for row in label_round.query}
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
    """Sample ids that may not be asked: labelled (unless ``relabel``), or asked and not released."""
    free = released()
    columns = (asked.column(name).to_pylist() for name in ("query_id", "sample_id", "status"))
    rows = [row for row in zip(*columns, strict=True) if row[0] not in free]
    if relabel:
        return {sample for _, sample, status in rows if status != "labelled"}
    return {*labeled, *(sample for _, sample, _ in rows)}


def queries_by_round(rounds: Iterable[LabelRound]) -> dict[int, tuple[QueryRow, ...]]:
    """The query of every label round, and the open one if it is filed."""
    queries = {label_round.number: label_round.query for label_round in rounds}
    number = len(queries) + 1
    content = filed_query(number)
    if content is not None:
        queries[number] = from_jsonl(content, layout.filed_query(number))
    return queries


def plan(answers: Iterable[tuple[int, Answer]], rounds: Iterable[LabelRound]) -> list[AnswerFile]:
    """New answers (round, answer) as files: one per round and annotator, numbered after the filed."""
    groups: dict[tuple[int, str], list[Answer]] = {}
    for number, answer in answers:
        groups.setdefault((number, answer.annotator), []).append(answer)
    filed = {label_round.number: label_round.files for label_round in rounds}
    planned: list[AnswerFile] = []
    for (number, annotator), group in sorted(groups.items()):
        own = answer_files.file_name(1, annotator).removeprefix("b01")
        before = sum(file.name.removeprefix(f"b{file.batch:02d}") == own for file in filed.get(number, ()))
        planned.append(AnswerFile(number, answer_files.file_name(before + 1, annotator), tuple(group)))
    return planned


def file(planned: Iterable[AnswerFile]) -> None:
    """Write answer files with their manifests, taking the open query along.

    Safe to kill and to run again: the query goes first, each file goes before its manifest, and the
    filed copy of the query goes last.
    """
    filings = [Filing(new.round, new.name, answer_files.to_csv(new.answers), len(new.answers)) for new in planned]
    for number in sorted({filing.round for filing in filings}):
        content = filed_query(number)
        if content is not None:
            rows = len(from_jsonl(content, layout.filed_query(number)))
            _write(Filing(number, layout.ROUND_QUERY, content, rows))
    for filing in filings:
        _write(filing)
    for number in _numbers(layout.MANIFESTS):
        copy = Path(layout.filed_query(number))
        taken = Path(layout.LABELS, layout.round_folder(number), layout.ROUND_QUERY)
        if copy.is_file() and taken.is_file() and copy.read_bytes() == taken.read_bytes():
            copy.unlink()


def labels_in_dvc() -> bool:
    """Whether the label rounds are tracked by DVC rather than by Git."""
    return Path(layout.LABELS_DVC).is_file()


def _write(filing: Filing) -> None:
    if filing.path.exists() and filing.path.read_bytes() != filing.content:
        raise LabelError(f"{filing.path} exists already with other content", change="run `al doctor`")
    manifest = {
        "schema": "manifest/1",
        "file": filing.name,
        "rows": filing.rows,
        "sha256": answer_files.digest(filing.content),
    }
    store.write_bytes(filing.path, filing.content)
    store.write_json(filing.manifest, manifest)


def _answers(path: Path, content: bytes) -> tuple[Answer, ...]:
    answers = answer_files.read_sheet(content, str(path)).answers
    if not answers:
        raise LabelError(f"{path} is an empty batch", change="remove it from Git history, or file its answers")
    return answers


def _manifest(path: Path) -> dict[str, Any]:
    manifest = store.read_json(path, "restore it with git checkout")
    if not isinstance(manifest.get("file"), str) or not isinstance(manifest.get("sha256"), str):
        raise LabelError(f"{path} is not a manifest", change="restore it with git checkout")
    return manifest


def _numbers(folder: str) -> list[int]:
    folders = (path.name for path in _visible(Path(folder)) if path.is_dir())
    return sorted(int(found[1]) for found in map(_ROUND.fullmatch, folders) if found)


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if not path.name.startswith(".")) if folder.is_dir() else []
