"""A campaign of answered rounds with its chain whole: queries, batches, manifests, locks; nothing is trained."""

from pathlib import Path

import pyarrow as pa
import yaml
from conftest import commit, truth

from al_plugin import history, layout, ledger, store
from al_plugin.data.answers import Answer
from al_plugin.data.queries import QueryRow, query_ids, to_jsonl
from al_plugin.rounds.merge import VOTES

STAGES = ("merge-labels", "train", "score", "select")


def build(root: Path, rounds: int, n: int, annotators: tuple[str, ...] = ("ann",)) -> None:
    """Rounds 0 to ``rounds`` in ``root``, the current folder: a commit that labels, a commit that pins, each."""
    pool = [f"s-{i:03d}" for i in range(rounds * n + n)]
    votes: list[dict] = []
    for number in range(rounds + 1):
        if number:
            votes += answer(number, annotators)
            commit(root, f"Label round {number}")
        select(number, pool[number * n : number * n + n])
        merge(votes)
        pin()
        commit(root, f"Round {number}")


def select(number: int, samples: list[str]) -> None:
    """What `select` would write in round ``number``."""
    ids = query_ids(number + 1, samples)
    rows = [
        QueryRow(name, sample, rank, 0.5, "query", 1, None, "margin")
        for rank, (name, sample) in enumerate(zip(ids, samples, strict=True), 1)
    ]
    store.write_bytes(layout.QUERY, to_jsonl(rows))


def answer(number: int, annotators: tuple[str, ...]) -> list[dict]:
    """Hand the query out and file each annotator's answers to it; the votes that they are."""
    _, rows, _ = ledger.file_query()
    votes = []
    for who in annotators:
        given = [Answer(row.query_id, row.sample_id, who, "labelled", truth(row.sample_id)) for row in rows]
        planned = ledger.plan([(number, one) for one in given], ledger.read_rounds(interrupted=True))
        ledger.file(planned)
        votes += [
            {
                "query_id": one.query_id,
                "sample_id": one.sample_id,
                "annotator": who,
                "label": one.label,
                "round": number,
                "file": f"{layout.round_folder(number)}/{file.name}",
            }
            for file in planned
            for one in file.answers
        ]
    return votes


def merge(votes: list[dict]) -> None:
    """What `merge-labels` would write of the votes."""
    store.write_table(layout.VOTES, pa.Table.from_pylist(votes, schema=VOTES))


def pin() -> None:
    """A dvc.lock for the label files, manifests, votes and query that lie here."""

    def entry(path: str) -> dict:
        if Path(path).is_dir():
            return {"path": path, "md5": history.folder_hash(history.digests_of(Path(path)))}
        return {"path": path, "md5": history.digest_of(Path(path))}

    lock = {
        "schema": "2.0",
        "stages": {
            "merge-labels": {
                "deps": [entry(layout.LABELS), entry(layout.MANIFESTS)],
                "outs": [entry(layout.VOTES)],
            },
            "train": {"outs": []},
            "score": {"outs": []},
            "select": {"outs": [entry(layout.QUERY)]},
        },
    }
    Path(layout.DVC_LOCK).write_text(yaml.safe_dump(lock))
