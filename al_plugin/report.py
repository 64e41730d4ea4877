"""The report of a round: read its files, compute what the page shows, write the page."""

import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from al_plugin import __version__, campaign, history, layout, ledger, past, store, targets, verdict
from al_plugin.axes import Ints
from al_plugin.data.pool import Pool
from al_plugin.data.sets import Model
from al_plugin.errors import CampaignError
from al_plugin.math import outcomes
from al_plugin.page import build
from al_plugin.page import content as page
from al_plugin.page.document import MARK, is_page
from al_plugin.past import Round
from al_plugin.rounds import drift
from al_plugin.rounds.explain import explain
from al_plugin.rounds.select import strategy_of

_REPRO = "run dvc repro"
_HARDEST = 15
_REFUSED = 50
_LONG = 200


@dataclass(frozen=True)
class Made:
    """A page, the round it is of, and the key by which MLflow knows the round ("" unless asked for)."""

    number: int
    page: bytes
    key: str = ""


def make(
    number: int | None, *, random_curve: Path | None = None, thumb: page.Thumb | None = None, key: bool = False
) -> Made:
    """The page of a round: of the one in the working tree, or of one that a commit holds.

    ``random_curve``: labels and accuracy of random drawing, from which labels saved are told; ``thumb`` gives
    pictures of samples.
    """
    rounds = history.past_rounds()
    with past.opened(number, rounds) as (found, commit):
        one = past.read(found, commit)
        content = contents(one, thumb)
        known = _key(one) if key else ""
    judged = _verdict(one, rounds, random_curve)
    return Made(found, build(replace(with_history(content, one, rounds), verdict=judged)), known)


def default_path(number: int) -> Path:
    """Where a page goes unless told otherwise; Git ignores the folder."""
    return Path("reports", f"{layout.round_folder(number)}.html")


def _key(one: Round) -> str:
    from al_plugin.tracking import record

    return record.read(one.params, Path()).key


def _verdict(one: Round, rounds: Mapping[int, history.PastRound], curve: Path | None) -> Mapping[str, Any] | None:
    """What the rounds up to this one say, as JSON values; None before a model, or where its dvc.lock is not here."""
    own = rounds[one.number] if one.commit else history.current_round()
    if not one.model.card["fitted"] or own is None or own.number != one.number:
        return None
    upto = {number: old for number, old in rounds.items() if number < one.number} | {one.number: own}
    found = verdict.judged(upto, one.params, len(one.evaluation.labels), random_curve=curve)
    return None if found is None or found.round != one.number else found.document()


def contents(one: Round, thumb: page.Thumb | None = None) -> page.Content:
    """What the page of a round shows; the round's files lie in the current folder."""
    asked = store.read_table(layout.ASKED, _REPRO)
    excluded = ledger.excluded(asked, one.labeled.sample_ids, relabel=one.params.select.relabel)
    classes = one.params.campaign.classes
    explanation = explain(
        one.pool,
        one.labeled,
        one.model,
        one.board,
        one.stored,
        one.query,
        excluded,
        one.params.campaign.seed,
        classes,
        one.params.campaign.task,
    )
    near = (other.sample_id for sample in explanation.samples for other in sample.neighbours)
    shown = list(dict.fromkeys((*(row.sample_id for row in one.query), *near)))
    if thumb is None and _is_picture(one.pool):
        thumb = _thumbs(one.pool)
    return page.Content(
        campaign=one.params.campaign.name,
        number=one.number,
        classes=classes,
        metrics=one.params.campaign.targets.metrics,
        strategy=_strategy(one),
        next_step=_next(one),
        curve=(),
        labels=_labels(one),
        evaluated=None,
        scores=_histogram(one),
        explanation=explanation,
        forgetting=_forgetting(),
        shown=_shown(shown),
        provenance=tuple(_provenance(one)),
        thumb=thumb,
        drift=drift.said(changed) if (changed := one.metrics[layout.SCORE_METRICS].get("drift")) else "",
    )


def with_history(content: page.Content, one: Round, rounds: Mapping[int, history.PastRound]) -> page.Content:
    """The same with the learning curve up to this round and the change since the round before, from the cache."""
    points = [_point(old, one) for number, old in sorted(rounds.items()) if number < one.number]
    own = _numbers(one.metrics[layout.TRAIN_METRICS])
    evaluated = _evaluated(one, rounds.get(one.number - 1))
    accuracy = None if evaluated is None else evaluated.accuracy
    mine = page.Point(one.number, len(one.labeled.labels), own, accuracy)
    curve = (*(point for point in points if point is not None), mine)
    return replace(content, curve=curve, evaluated=evaluated)


def write(content: bytes, path: Path) -> None:
    """Write a page; CampaignError where something else than a page is in its place."""
    if path.is_dir():
        raise CampaignError(f"{path} is a folder", change="name a file with --out")
    if path.exists():
        with open(path, "rb") as file:
            if not is_page(file.read(len(MARK.encode()))):
                raise CampaignError(
                    f"{path} is there and is no report, so nothing was written", change="name another file with --out"
                )
    store.write_bytes(path, content)


def _evaluated(one: Round, before: history.PastRound | None) -> page.Evaluated | None:
    if one.params.campaign.task != targets.CLASSES:
        return None
    log_probs = past.predictions(one.model, one.evaluation)
    if log_probs is None:
        return None
    predicted, labels = log_probs.argmax(axis=1), one.evaluation.labels
    correct = (predicted == labels).astype(np.int64)
    found = page.Evaluated(
        counts=outcomes.confusion(labels, predicted, len(one.params.campaign.classes)),
        accuracy=outcomes.share(int(correct.sum()), len(correct)),
        bins=outcomes.reliability(np.exp(log_probs.max(axis=1).astype(np.float64)), correct),
        metrics=_numbers(one.metrics[layout.TRAIN_METRICS]),
    )
    earlier = None if before is None else _correct_before(before, one)
    if before is None or earlier is None:
        return found
    return replace(found, change=outcomes.change(earlier, correct), previous=before.number)


def _correct_before(before: history.PastRound, one: Round) -> Ints | None:
    """Which evaluation samples the model of an earlier round had right; None where it cannot be told."""
    if history.hashes(before.lock).get(layout.EVAL) != one.pinned.get(layout.EVAL):
        return None
    card, weights = history.read_object(before, layout.CARD), history.read_output(before, layout.WEIGHTS)
    if card is None or weights is None:
        return None
    model = Model(card, store.tensors_of(weights, f"{layout.WEIGHTS} of round {before.number}", _REPRO))
    if not model.card["fitted"] or tuple(model.card["classes"]) != one.params.campaign.classes:
        return None
    log_probs = past.predictions(model, one.evaluation)
    return None if log_probs is None else (log_probs.argmax(axis=1) == one.evaluation.labels).astype(np.int64)


def _point(old: history.PastRound, one: Round) -> page.Point | None:
    trained = history.read_object(old, layout.TRAIN_METRICS)
    if trained is None or not isinstance(trained.get("labels"), int):
        return None
    numbers = _numbers(trained)
    accuracy = None
    if "accuracy" in numbers and history.hashes(old.lock).get(layout.EVAL) == one.pinned.get(layout.EVAL):
        total = len(one.evaluation.labels)
        accuracy = outcomes.share(round(numbers["accuracy"] * total), total)
    return page.Point(old.number, trained["labels"], numbers, accuracy)


def _numbers(trained: Mapping[str, Any]) -> dict[str, float]:
    found = history.evaluation(trained) or {}
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}


def _strategy(one: Round) -> str:
    """What chose the query: the strategies of the round, the one that the rows name for the last."""
    counts = one.labeled.per_class(len(one.params.campaign.classes))
    triple = one.params.triple(counts)
    chosen = [row for row in one.query if row.kind != "random"]
    select = strategy_of(chosen[0]) if chosen else triple.select
    return f"{triple.train} + {triple.score} + {select}"


def _next(one: Round) -> str:
    """What to do with this round, the same whenever it is asked."""
    if not one.query:
        return "every sample is labelled or pending: add a pool part, al query release IDs, or finish here."
    file = f"round_{one.number + 1:04d}.csv"
    return (
        f"label the {len(one.query)} samples of the query: al query export {file}, fill it in, al labels add {file}, "
        "git commit, dvc repro."
    )


def _labels(one: Round) -> page.Labels:
    votes, labeled = store.read_table(layout.VOTES, _REPRO), store.read_table(layout.LABELED, _REPRO)
    label_of = dict(zip(labeled.column("sample_id").to_pylist(), labeled.column("label").to_pylist(), strict=True))
    cast = list(zip(*(votes.column(name).to_pylist() for name in ("sample_id", "annotator", "label")), strict=True))
    several = {sample for sample, total in Counter(sample for sample, _, _ in cast).items() if total > 1}
    annotators, asking = [], one.params.campaign.targets
    for name, total in sorted(Counter(annotator for _, annotator, _ in cast).items()):
        judged = [
            (sample, label) for sample, who, label in cast if who == name and sample in several and sample in label_of
        ]
        agreed = [asking.agree(label_of[sample], label) for sample, label in judged]
        agrees = sum(map(bool, agreed))
        judged = [] if None in agreed else judged
        annotators.append(page.Annotator(name, total, outcomes.share(agrees, len(judged))))
    agreement = Counter(
        f"{value:.2f}"
        for value, total in zip(*(labeled.column(n).to_pylist() for n in ("agreement", "votes")), strict=True)
        if total > 1 and value is not None
    )
    refused = store.read_table(layout.QUARANTINE, _REPRO).slice(0, _REFUSED).to_pylist()
    return page.Labels(
        one.metrics[layout.LABEL_METRICS],
        annotators,
        sorted(agreement.items()),
        [(row["file"], row["row"], "; ".join(row["reasons"])) for row in refused],
    )


def _histogram(one: Round) -> page.Scores | None:
    if one.board.scores is None or not np.isfinite(one.board.scores).any():
        return None
    return page.score_histogram(one.board.scores, [row.score for row in one.query if row.score is not None])


def _forgetting() -> page.Forgetting | None:
    table = store.read_table(layout.FORGETTING, _REPRO)
    if table.num_rows == 0:
        return None
    rows = table.to_pylist()
    learned = [row for row in rows if not row["never_learned"]]
    events = np.array([row["forgetting_events"] for row in learned], dtype=np.int64)
    hardest = sorted(
        (row for row in learned if row["forgetting_events"]),
        key=lambda row: (-row["forgetting_events"], row["sample_id"]),
    )
    missed = sorted((row["sample_id"], row["label"]) for row in rows if row["never_learned"])
    return page.Forgetting(
        np.bincount(events, minlength=1).tolist(),
        len(missed),
        [
            (row["sample_id"], row["label"], row["forgetting_events"], row["first_learned"])
            for row in hardest[:_HARDEST]
        ],
        missed[:_HARDEST],
    )


def _shown(ids: Sequence[str]) -> dict[str, page.Shown]:
    """Text and other columns of some samples, as people see them when they label."""
    rows = campaign.read_shown(ids)
    cells = [{name: value[:_LONG] for name, value in row.items() if value and name != "text"} for row in rows]
    return {i: page.Shown(row.get("text", ""), own) for i, row, own in zip(ids, rows, cells, strict=True)}


def _is_picture(pool: Pool) -> bool:
    return len(pool.shape) == 3 and pool.shape[0] in (1, 3)


def _thumbs(pool: Pool) -> page.Thumb:
    """Pictures from the features of an image pool, as the model sees them."""
    from al_plugin.page.png import png

    index = {sample_id: position for position, sample_id in enumerate(pool.ids)}

    def thumb(sample_id: str) -> bytes | None:
        position = index.get(sample_id)
        if position is None:
            return None
        values = np.asarray(pool.features[position], dtype=np.float64).reshape(pool.shape)
        if pool.features.dtype != np.uint8:
            low, high = values.min(), values.max()
            values = (values - low) * (255.0 / ((high - low) or 1.0))
        pixels = np.moveaxis(values.round().astype(np.uint8), 0, -1)
        return png(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)

    return thumb


def _provenance(one: Round) -> Iterator[tuple[str, str]]:
    yield "commit", one.commit or "not committed yet"
    yield "strategy", _strategy(one)
    yield "recipe", one.params.campaign.recipe
    yield "seed", str(one.params.campaign.seed)
    yield "params.yaml", f"md5 {history.digest_of(Path(layout.PARAMS))}"
    for path in past.TOLD:
        if path in one.pinned:
            yield path, f"md5 {one.pinned[path]}"
    yield "al-plugin", __version__
    yield "numpy", np.__version__
    yield "pyarrow", pa.__version__
    yield "python", platform.python_version()
