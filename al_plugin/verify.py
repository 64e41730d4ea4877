"""Check the chain from queries to labels: what was asked, who answered, what was merged, what was never asked."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from al_plugin import campaign, chain, history, layout, ledger, store
from al_plugin.chain import Break
from al_plugin.data.label_round import LabelRound, refuse_gaps
from al_plugin.data.pool import column_of_ids
from al_plugin.data.queries import from_jsonl, query_ids
from al_plugin.errors import AlError, DataError
from al_plugin.rounds.copies import eval_copies
from al_plugin.settings import Params

SCHEMA = "verify/1"
_VOTE = ("query_id", "sample_id", "annotator", "label", "file")
_LEAKED = "take it out of data/eval: what is trained on must not measure"


@dataclass(frozen=True)
class Check:
    """One kind of link: what was looked at where it holds, else the first break, what to do, and how many there are."""

    name: str
    holds: bool
    text: str
    change: str = ""
    breaks: int = 0

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def verify(params: Params) -> list[Check]:
    """Every check, in the order of the chain; one that fails does not stop the rest."""
    rounds, broken = _present()
    steps = chain.steps()
    at = chain.rounds_of(steps)
    past = list(reversed(at.values()))
    altered, deleted = chain.unlike_merged(steps, at)
    if steps:
        changed, gone = chain.unlike_head(steps[-1].after)
        altered, deleted = [*altered, *changed], [*deleted, *gone]
    answers = sum(len(file.answers) for one in rounds for file in one.files)
    batches = sum(len(one.files) for one in rounds)
    queries = [*_misnamed(rounds), *chain.queries_handed_out(steps), *_unpinned(rounds, past)]
    aside: list[str] = []
    uncounted = list(_answers(rounds, past, aside))
    return [
        _check("label files", broken, f"{len(rounds)} rounds, {batches} batches, as their manifests say"),
        _check("altered labels", altered, f"none since they were merged, by {len(steps)} commits"),
        _check("deleted labels", deleted, "none that a round had"),
        _check("dvc.lock", list(chain.unlike_locks(steps, at)), f"{len(past)} commits pin the label files they hold"),
        _check("answers", uncounted, f"{answers}, each to a query of its round{''.join(aside)}"),
        _check("queries", queries, f"{len(rounds)} answered as they were selected and handed out"),
        _check("evaluation set", _asked_of_evaluation(rounds, params), "no sample of it was ever asked"),
    ]


def _check(name: str, breaks: Sequence[Break], text: str) -> Check:
    if not breaks:
        return Check(name, True, text)
    return Check(name, False, breaks[0].found, breaks[0].change, len(breaks))


def _present() -> tuple[list[LabelRound], list[Break]]:
    """The label rounds that are as their manifests say, and why the others are not."""
    rounds, broken = list[LabelRound](), list[Break]()
    numbers = ledger.round_numbers()
    try:
        ledger.refuse_misnamed()
        refuse_gaps(numbers)
    except AlError as error:
        broken.append(Break(error.found, error.change))
    for number in numbers:
        try:
            rounds.append(ledger.read_round(number))
        except AlError as error:
            broken.append(Break(error.found, error.change))
    return rounds, broken


def _answers(rounds: Sequence[LabelRound], past: Sequence[history.PastRound], aside: list[str]) -> Iterator[Break]:
    """Merged votes that no batch gave, or that name no query of their round. Others of that kind do not count."""
    asked = {(one.number, row.query_id): row.sample_id for one in rounds for row in one.query}
    given = {
        (f"{layout.round_folder(file.round)}/{file.name}", answer.query_id, answer.sample_id, answer.annotator): answer
        for one in rounds
        for file in one.files
        for answer in file.answers
    }
    stray = [key for key in given if asked.get((_number(key[0]), key[1])) != key[2]]
    try:
        votes = _votes(past)
    except DataError as error:
        yield Break(error.found, error.change)
        return
    if votes is None:
        aside.append("; the merged votes are not here, so they were not compared")
        return
    here = {layout.round_folder(one.number) for one in rounds}
    for row in votes:
        file = row["file"]
        key = (file, row["query_id"], row["sample_id"], row["annotator"])
        who = f"{row['annotator']!r} on {row['sample_id']!r} ({row['query_id']})"
        if file.partition("/")[0] not in here:
            continue  # told with the label files
        if key not in given or given[key].label != row["label"]:
            yield Break(f"{layout.VOTES} has a vote of {who} that {file} does not give", "run dvc repro")
        elif key in stray:
            yield Break(
                f"{layout.LABELS}/{file}: the vote of {who} counts, but round {_number(file)} asked no such query",
                f"{layout.SUITE} must refuse it (rules asked, sample_matches_query); then dvc repro",
            )
    if stray:
        aside.append(f"; {len(stray)} name none and do not count")


def _votes(past: Sequence[history.PastRound]) -> list[dict[str, Any]] | None:
    """The merged votes of the working tree, else of the newest committed round, else None."""
    content = Path(layout.VOTES).read_bytes() if Path(layout.VOTES).is_file() else None
    if content is None and past:
        content = history.read_output(past[0], layout.VOTES)
    if content is None:
        return None
    try:
        table = pq.ParquetFile(pa.py_buffer(content)).read(columns=_VOTE)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise DataError(f"{layout.VOTES} is not readable ({error})", change="run dvc repro") from error
    if table.column_names != list(_VOTE):
        raise DataError(f"{layout.VOTES} has columns {', '.join(table.column_names)}", change="run dvc repro")
    return table.to_pylist()  # type: ignore[no-any-return]


def _number(file: str) -> int:
    return int(file.partition("/")[0].removeprefix("round_"))


def _misnamed(rounds: Sequence[LabelRound]) -> Iterator[Break]:
    """Queries whose ids are not those that their samples make: each id hashes all samples of its query, in order."""
    for one in rounds:
        for path in ledger.query_files(one.number):
            yield from _wrong_ids(path, one.number)
    number = ledger.round_count() + 1
    for path in ledger.filed_queries(number):
        yield from _wrong_ids(path, number)


def _wrong_ids(path: Path, number: int) -> Iterator[Break]:
    try:
        rows = from_jsonl(path.read_bytes(), path.as_posix())
    except AlError as error:
        yield Break(error.found, error.change or "put it back with git checkout")
        return
    right = query_ids(number, [row.sample_id for row in rows])
    wrong = [row.query_id for row, own in zip(rows, right, strict=True) if row.query_id != own]
    if wrong:
        yield Break(
            f"{path} was altered: {len(wrong)} of its ids are not those of its samples, first {wrong[0]!r}",
            "put it back with git checkout",
        )


def _unpinned(rounds: Sequence[LabelRound], past: Sequence[history.PastRound]) -> Iterator[Break]:
    """Answered queries that are not what any commit of the round before selected, where there is such a commit."""
    selected: dict[int, set[str]] = {}
    for one in past:
        digest = one.outputs().get(layout.QUERY)
        if digest:
            selected.setdefault(one.number + 1, set()).add(digest)
    for number in (one.number for one in rounds if one.number in selected):
        paths = ledger.query_files(number)
        found = {md5(path.read_bytes(), usedforsecurity=False).hexdigest() for path in paths}
        # Another clone's query may have been selected on a branch that was merged here.
        if not found & selected[number]:
            yield Break(
                f"{paths[0]} is not the query that round {number - 1} selected, as its dvc.lock pins it",
                f"al diff, or git log -p -- {paths[0]}, shows what differs; commit dvc.lock before handing a query out",
            )


def _asked_of_evaluation(rounds: Sequence[LabelRound], params: Params) -> list[Break]:
    """Evaluation samples that were asked, by id, or as a copy of the same content under another."""
    found = list[Break]()
    try:
        asked = _all_asked(rounds)
        found += [Break(f"evaluation sample {id_!r} was asked in {asked[id_]}", _LEAKED) for id_ in _eval_ids(asked)]
        if asked and not found:
            pool = campaign.read_pool(params)
            copies = eval_copies(pool, campaign.read_evaluation(params, pool), 0.0)["sample_ids"]
            said = "is a copy of an evaluation sample"
            found += [Break(f"{id_!r}, asked in {asked[id_]}, {said}", _LEAKED) for id_ in copies if id_ in asked]
    except AlError as error:
        found.append(Break(f"could not be checked: {error.found}", error.change))
    return found


def _all_asked(rounds: Sequence[LabelRound]) -> dict[str, str]:
    """Every sample that was ever handed out, and where it stands: in a label round, or in a filed query."""
    asked = dict[str, str]()
    for path in Path(layout.QUERIES).glob("round_*.jsonl"):
        asked |= {row.sample_id: path.as_posix() for row in from_jsonl(path.read_bytes(), path.as_posix())}
    return asked | {row.sample_id: f"round {one.number}" for one in rounds for row in one.query}


def _eval_ids(asked: Collection[str]) -> Iterator[str]:
    """Ids of evaluation samples that are among ``asked``."""
    for path in sorted(Path(layout.EVAL).glob("*.parquet")):
        names = [name for name in store.column_names(path, "dvc pull") if name == "sample_id"]
        ids = column_of_ids(store.read_table(path, "dvc pull", columns=names), path.as_posix())
        yield from (sample for sample in ids if sample in asked)


def document(checks: Sequence[Check]) -> Mapping[str, Any]:
    """All of it, as JSON."""
    return {
        "schema": SCHEMA,
        "holds": all(check.holds for check in checks),
        "checks": [check.document() for check in checks],
    }
