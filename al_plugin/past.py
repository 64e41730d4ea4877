"""A round of now or of the past: its files, from the working tree or linked from the DVC cache, and its contents."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from al_plugin import campaign, commands, history, layout, store
from al_plugin.axes import Floats
from al_plugin.data.pool import Pool
from al_plugin.data.queries import QueryRow, from_jsonl
from al_plugin.data.sets import Evaluation, Labeled, Model, Scoreboard
from al_plugin.documents import read_dvc
from al_plugin.errors import CampaignError, DataError
from al_plugin.replay import round_or_error
from al_plugin.rounds.explained import Stored
from al_plugin.settings import Params
from al_plugin.stage import load_params

_REPRO = "run dvc repro"
_PARTS = (layout.LABEL_METRICS, layout.TRAIN_METRICS, layout.SCORE_METRICS, layout.SELECT_METRICS)
# What a page says the hashes of.
TOLD = (
    *(layout.POOL, layout.EVAL, layout.LABELED, layout.VOTES),
    *(layout.WEIGHTS, layout.CARD, layout.SCORES, layout.QUERY),
)
# What a round is read from, beside its stages' outputs: inputs that DVC keeps, and files in Git.
_INPUTS = (layout.POOL, layout.EVAL)
_IN_GIT = (layout.PARAMS, layout.DVC_LOCK, layout.RELEASED)
_FETCH = "run dvc fetch --all-commits first"


@dataclass(frozen=True)
class Round:
    """A round in memory. ``commit`` is "" while none holds it; ``pinned`` are DVC's hashes by path."""

    number: int
    commit: str
    params: Params
    metrics: Mapping[str, Mapping[str, Any]]
    pinned: Mapping[str, str]
    pool: Pool
    labeled: Labeled
    evaluation: Evaluation
    model: Model
    board: Scoreboard
    stored: Stored
    query: tuple[QueryRow, ...]


@contextmanager
def opened(number: int | None, rounds: Mapping[int, history.PastRound]) -> Iterator[tuple[int, str]]:
    """Work where the files of a round lie: here, or in a folder made from the DVC cache. Gives number and commit.

    ``None`` is the round of the working tree; so is a number that no commit holds yet.
    """
    here = _here()
    if number is None or (number == here and number not in rounds):
        if here is None:
            raise CampaignError("no round has run here", change=_REPRO)
        yield here, _commit_of_tree(rounds.get(here))
        return
    found = round_or_error(number, dict(rounds))
    if number == here and _commit_of_tree(found):
        yield number, found.commit
        return
    with files_of(found) as folder, inside(folder):
        yield number, found.commit


def _here() -> int | None:
    """The round in the working tree, None where none has run; DataError where its files are of several rounds."""
    if not Path(layout.LABEL_METRICS).is_file():
        return None
    found = {path: store.read_json(path, _REPRO).get("round") for path in _PARTS}
    if len(set(found.values())) > 1 or not isinstance(found[layout.LABEL_METRICS], int):
        said = ", ".join(f"{path} of round {number}" for path, number in found.items())
        raise DataError(f"the files are of several rounds: {said}", change=_REPRO)
    return int(found[layout.LABEL_METRICS] or 0)


def _commit_of_tree(committed: history.PastRound | None) -> str:
    """The commit that holds the very files of the working tree, or ""."""
    if committed is None:
        return ""
    own = committed.outputs()
    small = (*_PARTS, layout.QUERY, layout.CARD, layout.WEIGHTS, layout.LABELED)
    here = {path: history.digest_of(Path(path)) for path in small if Path(path).is_file()}
    return committed.commit if all(own.get(path) == here.get(path) for path in small) else ""


def read(number: int, commit: str) -> Round:
    """The round whose files lie in the current folder."""
    params = load_params()
    classes = params.campaign.classes
    pool, labeled = campaign.read_pool(params), campaign.read_labeled(classes, params.campaign.task)
    board, stored = _scores(pool)
    return Round(
        number=number,
        commit=commit,
        params=params,
        metrics={path: store.read_json(path, _REPRO) for path in _PARTS},
        pinned=_pinned(),
        pool=pool,
        labeled=labeled,
        evaluation=campaign.read_evaluation(params, pool),
        model=campaign.read_model(),
        board=board,
        stored=stored,
        query=from_jsonl(store.read_bytes(layout.QUERY, _REPRO), layout.QUERY),
    )


@contextmanager
def files_of(past: history.PastRound) -> Iterator[Path]:
    """A folder that holds the round's outputs, pool, evaluation set and params, as in the repository.

    CampaignError where one of them is not in this machine's DVC cache. Do not write into the linked files.
    """
    cache = history.cache_folder().resolve()
    with tempfile.TemporaryDirectory(prefix="al-round-") as scratch:
        folder = Path(scratch)
        for path, digest in _linked(past).items():
            if path in _INPUTS and _same(Path(path), digest):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).symlink_to(Path(path).resolve())
            else:
                _link(cache, digest, folder / path, f"{path} of round {past.number}")
        # What was encoded once is kept there by content.
        private = Path(layout.PRIVATE)
        if private.is_dir():
            (folder / private).symlink_to(private.resolve())
        for path in _IN_GIT:
            content = commands.git_bytes("show", f"{past.commit}:./{path}")
            if content is not None:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(content)
        yield folder


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder and come back. Modules of the repository can still be imported: those of today."""
    home = Path.cwd()
    if str(home) not in sys.path:
        sys.path.insert(0, str(home))
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(home)


def predictions(model: Model, evaluation: Evaluation) -> Floats | None:
    """Log-probabilities (M, C) of the evaluation set, None without a fitted model."""
    if not model.card["fitted"]:
        return None
    from al_plugin.models.restore import model_signals

    return model_signals(model.card, model.weights, evaluation.features)[0]


def _pinned() -> dict[str, str]:
    """Of the current folder: from dvc.lock, with the hashes of the files that are here over it."""
    path = Path(layout.DVC_LOCK)
    lock = read_dvc(path.read_bytes(), layout.DVC_LOCK) if path.is_file() else {}
    files = [told for told in TOLD if Path(told).is_file()]
    return {**history.hashes(lock or {}), **{told: history.digest_of(Path(told)) for told in files}}


def _scores(pool: Pool) -> tuple[Scoreboard, Stored]:
    """The scoreboard, and of the stored signals those that the page uses."""
    parts = store.read_parts(layout.SCORES, _REPRO)
    table = pa.concat_tables(parts.values())
    if table.num_rows != len(pool):
        raise DataError(f"{layout.SCORES} has {table.num_rows} rows, the pool {len(pool)}", change=_REPRO)
    return campaign.board_of(table, pool.ids), Stored(*(_signal(parts, name) for name in ("log_probs", "embeddings")))


def _signal(parts: Sequence[str] | Mapping[str, Any], name: str) -> Floats | None:
    paths = [Path(layout.SCORES, part, f"{name}.npy") for part in parts]
    if not all(path.is_file() for path in paths):
        return None
    return np.concatenate([store.read_array(path, _REPRO) for path in paths])


def _linked(past: history.PastRound) -> dict[str, str]:
    """DVC's hash of everything the round is read from, by path."""
    known = history.hashes(past.lock)
    return {**{path: known[path] for path in _INPUTS if path in known}, **past.outputs()}


def _same(folder: Path, digest: str) -> bool:
    """Whether an input lies in the repository as it was: it need not be in the cache then."""
    return folder.is_dir() and history.folder_hash(history.digests_of(folder)) == digest


def _link(cache: Path, digest: str, target: Path, what: str) -> None:
    """Link a cached file, or every file of a cached folder."""
    if not history.is_digest(digest):
        raise CampaignError(f"{what}: {digest!r} is no hash of DVC's")
    source = cache / digest[:2] / digest[2:]
    if not source.is_file():
        raise CampaignError(f"{what} is not in this machine's DVC cache", change=_FETCH)
    if not digest.endswith(".dir"):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
        return
    target.mkdir(parents=True, exist_ok=True)
    for entry in json.loads(source.read_bytes()):
        if ".." in Path(entry["relpath"]).parts or Path(entry["relpath"]).is_absolute():
            raise CampaignError(f"{what}: the cached list of files leads to {entry['relpath']!r}, out of the folder")
        _link(cache, entry["md5"], target / entry["relpath"], what)
